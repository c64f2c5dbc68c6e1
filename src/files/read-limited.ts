/** Reads files and streams up to a number of bytes: `-f /dev/zero` must not fill the memory. */
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { FileState } from './replace-file.ts'

/** Bytes of one read, unless the size of the file is known. */
const chunkSize = 64 * 1024

/** A file or stream has more bytes than allowed. */
export class TooLargeError extends Error {
  readonly maxBytes: number

  constructor(maxBytes: number) {
    super(`it has more than ${maxBytes} bytes`)
    this.maxBytes = maxBytes
  }
}

/** Returns the bytes of a file, or of a pipe. Throws TooLargeError, and as the functions of `node:fs`. */
export function readLimitedFile(name: string, maxBytes: number): Buffer {
  return withFile(name, constants.O_RDONLY, (file) => readDescriptor(file, maxBytes))
}

/**
 * Returns the bytes of a file that is not a pipe or a device: a read of these can wait forever, and a file that a config names is
 * read without a person who could stop it. Throws TooLargeError, and as the functions of `node:fs`.
 */
export function readRegularFile(name: string, maxBytes: number): Buffer {
  // Without O_NONBLOCK, opening a pipe waits for its writer.
  return withFile(name, constants.O_RDONLY | constants.O_NONBLOCK, (file) => {
    const stats = fstatSync(file)
    // The read of a directory fails with its own error.
    if (!stats.isFile() && !stats.isDirectory())
      throw new Error('it is not a regular file, but a pipe or a device')
    return readDescriptor(file, maxBytes)
  })
}

/**
 * Returns the bytes and the state of a file whose path has no link. Throws TooLargeError, an error with the code ELOOP if a
 * part of the path is a link by now, and as the functions of `node:fs`.
 */
export function readRealFile(
  realPath: string,
  maxBytes: number,
): { readonly bytes: Buffer; readonly state: FileState } {
  // A file that is a pipe by now must not block.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  return withFile(realPath, flags, (file) => {
    const { dev, ino, size, mtimeMs } = fstatSync(file)
    if (realpathSync(realPath) !== realPath)
      throw Object.assign(new Error(`${realPath} has a link`), { code: 'ELOOP' })
    const stats = { dev, ino, size, mtimeMs }
    return { bytes: readDescriptor(file, maxBytes, size + 1), state: { realPath, stats } }
  })
}

function withFile<Result>(name: string, flags: number, read: (file: number) => Result): Result {
  const file = openSync(name, flags)
  try {
    return read(file)
  } finally {
    closeSync(file)
  }
}

/** Reads up to the end: also a file that is larger by now, or whose size is 0 as that of a pipe. */
function readDescriptor(file: number, maxBytes: number, expected: number = chunkSize): Buffer {
  const chunks: Buffer[] = []
  let chunk = Buffer.allocUnsafe(Math.min(Math.max(expected, 1), maxBytes + 1))
  let [filled, total] = [0, 0]
  for (;;) {
    const length = readSync(file, chunk, { offset: filled })
    filled += length
    total += length
    if (total > maxBytes) throw new TooLargeError(maxBytes)
    if (length === 0) return Buffer.concat([...chunks, chunk.subarray(0, filled)], total)
    if (filled < chunk.length) continue
    chunks.push(chunk)
    chunk = Buffer.allocUnsafe(chunkSize)
    filled = 0
  }
}

/** Returns the bytes of a stream. Rejects with TooLargeError. */
export async function readLimitedStream(stream: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of stream as AsyncIterable<Buffer | string>) {
    const bytes = Buffer.from(chunk)
    total += bytes.length
    if (total > maxBytes) throw new TooLargeError(maxBytes)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks, total)
}
