/** Collects the body of a request or a response. */

export interface BodyBuffer {
  /** Adds what has arrived. The first piece is not copied. */
  append(piece: Buffer): void
  /** Returns everything that was added. */
  bytes(): Buffer
}

/**
 * Creates a buffer that grows up to a number of bytes. Not a list of pieces: each takes 200 bytes besides its content, and a
 * peer can send pieces of one byte.
 */
export function createBodyBuffer(maxBytes: number): BodyBuffer {
  let buffer: Buffer = Buffer.alloc(0)
  let length = 0
  return {
    append: (piece) => {
      const needed = length + piece.length
      if (length === 0) buffer = piece
      else {
        if (needed > buffer.length)
          buffer = enlarge(buffer, Math.max(needed, Math.min(2 * needed, maxBytes)))
        piece.copy(buffer, length)
      }
      length = needed
    },
    bytes: () => buffer.subarray(0, length),
  }
}

function enlarge(buffer: Buffer, size: number): Buffer {
  const larger = Buffer.allocUnsafe(size)
  buffer.copy(larger)
  return larger
}
