/** Reads the lock file that the config names in `pin.lock`. */
import { readFileSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { parseLock } from '../decision/lock/image-lock.ts'
import type { Config } from './config.ts'
import type { ReportProblem } from './problem.ts'

/** Returns the lock file. A missing file is a warning, because `berth lock` creates it. An invalid file is an error. */
export function readLockFile(
  name: string | undefined,
  { directory, report }: { readonly directory: string; readonly report: ReportProblem },
): Config['lock'] {
  if (name === undefined) return null
  const file = resolvePath(directory, name)
  const empty = { file, source: null, images: new Map() }
  const source = textOf(file)
  if (source === null) {
    report(
      'warning',
      ['pin', 'lock'],
      `cannot read ${file}, so no digest is locked; create it with \`berth lock\``,
    )
    return empty
  }
  const result = parseLock(source)
  if (result.ok) return { file, source, images: result.lock }
  report('error', ['pin', 'lock'], `${file} ${result.message}`)
  return empty
}

/** Returns the text of a file; null if it cannot be read. */
export function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
