import type { BlobSource } from './blob-source.ts'

/** A place in a blob from which pieces of any length are taken, one after the other. */
export interface BlobReader {
  /** The next bytes, that many of them; each piece has to be read to its end before the next. */
  take(bytes: number): AsyncGenerator<Buffer, void>
  close(): Promise<void>
}

export function createBlobReader(source: BlobSource, from: number): BlobReader {
  const chunks = source.read(from)
  let rest: Buffer = Buffer.alloc(0)
  return {
    async *take(bytes) {
      let left = bytes
      while (left > 0) {
        if (rest.length === 0) {
          const next = await chunks.next()
          if (next.done === true) return
          rest = next.value
        }
        const part = rest.subarray(0, left)
        rest = rest.subarray(part.length)
        left -= part.length
        yield part
      }
    },
    async close() {
      await chunks.return()
    },
  }
}
