/** The interface to the files of an image layout, in a directory or in a tar archive. */
import type { FileHandle } from 'node:fs/promises'

export interface LayoutFiles {
  /** As on the command line: `oci:DIR` or `oci-archive:FILE`. */
  readonly name: string
  /** True if there is no file yet. */
  readonly isEmpty: boolean
  /** Returns the bytes of a file; null if it does not exist, or is not a regular file. */
  size(path: string): Promise<number | null>
  /** Yields the bytes from an offset on. */
  read(path: string, offset: number): AsyncGenerator<Buffer, void>
  /** Writes a file, or replaces it. Readers see it only after all of `content` was written without an error. */
  write(path: string, size: number, content: AsyncIterable<Buffer>): Promise<void>
  /** Replaces a small file. An archive gets it when it is closed. */
  replace(path: string, bytes: Buffer): Promise<void>
  /** Throws if a file cannot be written. */
  close(): Promise<void>
}

/** Yields the bytes of an open file between two offsets. Ends early at the end of the file. */
export async function* readRange(
  file: FileHandle,
  start: number,
  end: number,
): AsyncGenerator<Buffer, void> {
  for (let offset = start; offset < end;) {
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, end - offset))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset)
    if (bytesRead === 0) return
    offset += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/** In bytes: few system calls, and little memory for each of the blobs that are read in parallel. */
const chunkBytes = 256 * 1024

/** Writes a whole buffer at an offset. A single write may be short, for example on a full disk. */
export async function writeAt(file: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done)
    done += bytesWritten
  }
}
