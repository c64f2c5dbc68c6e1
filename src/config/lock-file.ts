/** The lock file that a configuration names: found from it by relative path, and read with it. */
import { readFileSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { parseLock } from '../decision/lock/image-lock.ts'
import type { Config } from './config.ts'
import type { ReportProblem } from './registries.ts'

/** Reads the lock file. One that is not there yet locks nothing, and is worth a warning; a broken one is an error. */
export function readLockFile(
  name: string | undefined,
  { directory, report }: { readonly directory: string; readonly report: ReportProblem },
): Config['lock'] {
  if (name === undefined) return null
  const file = resolvePath(directory, name)
  const none = { file, source: null, images: new Map() }
  const source = textOf(file)
  if (source === null) {
    report(
      'warning',
      ['pin', 'lock'],
      `names ${file}, which cannot be read; \`berth lock\` writes it`,
    )
    return none
  }
  const read = parseLock(source)
  if (read.ok) return { file, source, images: read.lock }
  report('error', ['pin', 'lock'], `names ${file}, which ${read.message}`)
  return none
}

/** A file's text; null when it cannot be read. */
export function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
