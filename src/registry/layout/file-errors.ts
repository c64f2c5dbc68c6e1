/** Explains why a file of an image layout cannot be read or written. */
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left; free some and run the command again: complete blobs are kept',
  EDQUOT: 'the disk quota is used up; free some space and run the command again',
  EFBIG:
    'the file system does not take files of this size (FAT32: 4 GiB); use another one, or oci:DIR',
  EROFS: 'the file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EIO: 'the disk reports an error',
  ELOOP: 'it is a symbolic link',
  ENAMETOOLONG: 'the path is too long',
}

/** Returns a RegistryError for an error of the file system, and any other error as it is. `subject` is what was read or written. */
export function explainFileError(error: unknown, name: string, subject: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException
  if (error instanceof RegistryError || code === undefined || syscall === undefined) return error
  const detail = `${name}: ${subject}: ${reasons[code] ?? code}`
  return new RegistryError(failed('invalid', detail))
}
