/** Reads the files that `berth nodes render -o json` printed. */
import { BerthError } from '../../errors.ts'
import type { NodeFiles } from '../render/render.ts'
import { targets } from '../render/targets.ts'

/** `name` is the file's name in error messages. Throws `usage` for other JSON and for paths outside the target's directory, because the files are written as root. */
export function readRendered(
  text: string,
  name: string,
): Pick<NodeFiles, 'target' | 'directory' | 'files' | 'restart'> {
  const invalid = (why: string) =>
    new BerthError('usage', `${name} ${why}; write it with \`berth nodes render -o json\``)
  let value: Partial<NodeFiles>
  try {
    value = JSON.parse(text) as Partial<NodeFiles>
  } catch {
    throw invalid('is not JSON')
  }
  const { target, files } = value
  if (target === undefined || !Object.hasOwn(targets, target) || !Array.isArray(files))
    throw invalid('has no target and files')
  const { directory, restart } = targets[target]
  const isSafe = ({ path, content }: { path?: unknown; content?: unknown }) =>
    typeof path === 'string' &&
    typeof content === 'string' &&
    !path.startsWith('/') &&
    !path.split('/').includes('..')
  if (!files.every(isSafe)) throw invalid('has a file outside its directory')
  return { target, directory, files, restart }
}
