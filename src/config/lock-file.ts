/** Reads the lock file that the config names in `pin.lock`. */
import { resolve as resolvePath } from 'node:path'
import { parseLock, type ParseLockResult } from '../decision/lock/lock-text.ts'
import { readRegularFile, TooLargeError } from '../files/read-limited.ts'
import { configLimits } from '../yaml/limits.ts'
import type { Config } from './config.ts'
import type { ReportProblem } from './problem.ts'

/** Returns the lock file. A missing file is a warning, because `berth lock` creates it. An invalid file is an error. */
export function readLockFile(
  name: string | undefined,
  { directory, report }: { readonly directory: string; readonly report: ReportProblem },
): Config['lock'] {
  if (name === undefined) return null
  const file = resolvePath(directory, name)
  const { source, result } = readLock(file)
  if (source === null && result.ok)
    report(
      'warning',
      ['pin', 'lock'],
      `cannot read ${file}, so no digest is locked; create it with \`berth lock\``,
    )
  if (!result.ok) report('error', ['pin', 'lock'], `${file} ${result.message}`)
  return { file, source, images: result.ok ? result.lock : new Map() }
}

export interface LockFile {
  /** The text of the file; null if it cannot be read. */
  readonly source: string | null
  readonly result: ParseLockResult
}

/** Reads a lock file. Never throws. Returns no entries for a file that cannot be read. */
export function readLock(file: string): LockFile {
  try {
    const source = readRegularFile(file, configLimits.length).toString('utf8')
    return { source, result: parseLock(source) }
  } catch (error) {
    if (error instanceof TooLargeError)
      return { source: null, result: { ok: false, message: `cannot be read: ${error.message}` } }
    return { source: null, result: { ok: true, lock: new Map() } }
  }
}
