/** Writes files atomically: each file as a whole, and a list of files completely or not at all. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { BerthError } from '../../errors.ts'
import { writeAndRename } from '../../files/replace-file.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

export interface FileContent {
  readonly path: string
  /** Null removes the file. */
  readonly text: string | null
  /** The mode of a new file; null or undefined for 0644. An existing file keeps its mode. */
  readonly mode?: number | null
  /** True if the directory is removed with the file. */
  readonly ownDirectory: boolean
}

/** Writes all files. If one fails, it restores those that were written. Throws `nodes-unwritable`. */
export function writeFiles(contents: readonly FileContent[]): void {
  const originals: FileContent[] = []
  try {
    for (const content of contents) {
      const { path } = content
      originals.unshift({ ...content, text: readTextOrNull(path), mode: fileMode(path) })
      putFile(content)
    }
  } catch (cause) {
    for (const original of originals) restoreFile(original)
    throw unwritable(cause)
  }
}

function restoreFile(original: FileContent): void {
  try {
    putFile(original)
  } catch {
    // The first failure is reported. The state file still has the original text.
  }
}

/** Renames a new file into place, so that a pull at the same time reads the old file or the new one. */
function putFile({ path, text, mode, ownDirectory }: FileContent): void {
  if (text === null) return removeFile(path, ownDirectory)
  if (readTextOrNull(path) === text) return
  mkdirSync(dirname(path), { recursive: true })
  writeAndRename(path, text, { mode: fileMode(path) ?? mode ?? 0o644 })
}

function removeFile(path: string, ownDirectory: boolean): void {
  rmSync(path, { force: true })
  if (!ownDirectory) return
  try {
    rmdirSync(dirname(path))
  } catch {
    // The directory has other files by now.
  }
}

export function unwritable(cause: unknown): BerthError {
  const { path } = cause as NodeJS.ErrnoException
  return new BerthError(
    'nodes-unwritable',
    `${path ?? 'a file'} cannot be written: ${describeFileError(cause)}; nothing was changed`,
    { cause },
  )
}

/** Returns the permission bits; null if there is no such file. */
export function fileMode(path: string): number | null {
  return existsSync(path) ? statSync(path).mode & 0o777 : null
}

export function readTextOrNull(path: string): string | null {
  return existsSync(path) ? readFileSync(path, 'utf8') : null
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
