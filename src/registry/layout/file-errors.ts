/** Explains why a file of an image layout cannot be read or written. */
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

/** Errors with a known fix. */
const fixes: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left; free some and run the command again: complete blobs are kept',
  EDQUOT: 'the disk quota is used up; free some space and run the command again',
  EFBIG: 'the file is too large for the file system (FAT32: 4 GiB); use another one, or oci:DIR',
}

/** Returns a RegistryError for an error of the file system, and any other error as it is. `subject` is what was read or written. */
export function explainFileError(error: unknown, name: string, subject: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException
  if (error instanceof RegistryError || code === undefined || syscall === undefined) return error
  const detail = `${name}: ${subject}: ${fixes[code] ?? describeFileError(error)}`
  return new RegistryError(failed('invalid', detail))
}
