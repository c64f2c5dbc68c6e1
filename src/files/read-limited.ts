/** Reads files and streams up to a number of bytes: `-f /dev/zero` must not fill the memory. */
import { closeSync, openSync, readSync } from 'node:fs'
import type { Readable } from 'node:stream'

/** Bytes of one read. */
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
  const file = openSync(name, 'r')
  try {
    return readDescriptor(file, maxBytes)
  } finally {
    closeSync(file)
  }
}

/** Returns the bytes of an open file. Throws TooLargeError, and as the functions of `node:fs`. */
function readDescriptor(file: number, maxBytes: number): Buffer {
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    const chunk = Buffer.allocUnsafe(chunkSize)
    const length = readSync(file, chunk)
    if (length === 0) return Buffer.concat(chunks, total)
    total += length
    if (total > maxBytes) throw new TooLargeError(maxBytes)
    chunks.push(chunk.subarray(0, length))
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
