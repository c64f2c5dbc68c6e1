import type { BlobSource } from './blob-source.ts'

/** Reads a blob in consecutive pieces of any length. */
export interface BlobReader {
  /** Yields the next bytes. The caller must read each piece to its end before it takes the next one. */
  take(bytes: number): AsyncGenerator<Buffer, void>
  close(): Promise<void>
}

/** Creates a reader that starts at a byte offset. */
export function createBlobReader(source: BlobSource, offset: number): BlobReader {
  const chunks = source.read(offset)
  let buffered: Buffer = Buffer.alloc(0)
  return {
    async *take(bytes) {
      let left = bytes
      while (left > 0) {
        if (buffered.length === 0) {
          const next = await chunks.next()
          if (next.done === true) return
          buffered = next.value
        }
        const part = buffered.subarray(0, left)
        buffered = buffered.subarray(part.length)
        left -= part.length
        yield part
      }
    },
    async close() {
      await chunks.return()
    },
  }
}
