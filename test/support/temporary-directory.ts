/** Gives the tests of a run one directory for all their temporary files, and removes it at the end. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** vitest calls it before the tests, and what it returns after them. */
export function setup(): () => void {
  const directory = mkdtempSync(join(tmpdir(), 'berth-tests-'))
  // `os.tmpdir()` reads it, here and in the processes that the tests start.
  process.env['TMPDIR'] = directory
  return () => rmSync(directory, { recursive: true, force: true })
}
