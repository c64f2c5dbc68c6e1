/** Replaces files atomically: a reader sees the old text or the new one, and a failure leaves the old one. */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { BerthError } from '../errors.ts'
import { describeFileError } from './describe-file-error.ts'

/** A file as it was read. */
export interface FileState {
  /** Its path without links. */
  readonly realPath: string
  readonly stats: Pick<Stats, 'dev' | 'ino' | 'size' | 'mtimeMs'>
}

/**
 * Replaces the text of a file, or creates it. Keeps the permissions of the file, and a link to it. With `expected`, the file
 * must still be the one that was read. Throws `file-unwritable`.
 */
export function replaceFile(path: string, text: string, expected?: FileState): void {
  const check = () => {
    if (expected !== undefined && !isSame(expected))
      throw unwritable(path, 'it was changed after Berth read it; run the command again')
  }
  check()
  const file = expected?.realPath ?? realPathOf(path)
  const before = lstatSync(file, { throwIfNoEntry: false })
  if (before !== undefined && !before.isFile())
    throw unwritable(path, `it is ${before.isDirectory() ? 'a directory' : 'not a regular file'}`)
  try {
    writeAndRename(file, text, { mode: before?.mode ?? null, check })
  } catch (error) {
    if (error instanceof BerthError) throw error
    throw unwritable(path, describeFileError(error), error)
  }
}

function unwritable(path: string, why: string, cause?: unknown): BerthError {
  return new BerthError('file-unwritable', `${path} cannot be written: ${why}`, { cause })
}

/** Follows a link, so that it is kept. A file that does not exist is created where the path says. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && lstatSync(path, { throwIfNoEntry: false }) === undefined) return path
    throw unwritable(
      path,
      code === 'ENOENT' ? 'it is a broken symbolic link' : describeFileError(error),
      error,
    )
  }
}

/** False if the file was changed or replaced, for example by a link, or if a directory of its path is a link by now. */
function isSame({ realPath, stats }: FileState): boolean {
  const now = lstatSync(realPath, { throwIfNoEntry: false })
  return (
    now?.isFile() === true &&
    now.dev === stats.dev &&
    now.ino === stats.ino &&
    now.size === stats.size &&
    now.mtimeMs === stats.mtimeMs &&
    realpathSync(realPath) === realPath
  )
}

export interface WriteOptions {
  /** The permissions of the file, whatever the umask is; null for those of a new file. */
  readonly mode: number | null
  /** Called before the file is replaced. If it throws, the file stays. */
  readonly check?: () => void
}

/** Writes a new file and renames it to `file`, which is not followed if it is a link. Throws as the functions of `node:fs`. */
export function writeAndRename(file: string, text: string, { mode, check }: WriteOptions): void {
  // The name is random, and the file new: someone else's link with this name must not be followed.
  const temporary = join(dirname(file), `.${basename(file).slice(0, 100)}.${randomName()}.new`)
  const descriptor = openSync(temporary, 'wx', mode === null ? 0o666 : 0o600)
  try {
    try {
      writeFileSync(descriptor, text)
      if (mode !== null) fchmodSync(descriptor, mode & 0o777)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    check?.()
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** 48 random bits. An import of `node:crypto` would take 4 ms of the start of each command. */
function randomName(): string {
  return crypto.randomUUID().slice(-12)
}
