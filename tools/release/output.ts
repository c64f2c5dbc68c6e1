/** Prepares the directory of the artifacts. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Creates the directory, or removes an earlier release from it. Throws if it has anything else, such as a home directory. */
export function emptyOutput(directory: string): void {
  const isRelease = existsSync(join(directory, 'SHA256SUMS')) && existsSync(join(directory, 'oci'))
  const isUsed = existsSync(directory) && readdirSync(directory).length > 0
  if (isUsed && !isRelease)
    throw new Error(
      `${directory} has files, and is not an earlier release; remove it, or name another with --out`,
    )
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
}
