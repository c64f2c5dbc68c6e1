/** Reads the bodies of responses, within limits on their size and on the memory of all bodies that a process reads at once. */
import type { Readable } from 'node:stream'
import type { ByteBudget } from '../../async/byte-budget.ts'
import { createBodyBuffer } from '../../http/body-buffer.ts'

/** Receives a body in pieces, for callers that need not keep it. */
export interface BodyConsumer {
  /** Called before the first piece of each response with status 200. A request that is retried has several. */
  readonly start: (header: HeaderReader) => void
  /** Returns false to stop: the rest is not read, and the connection closes. */
  readonly write: (piece: Buffer) => boolean
}

/** Returns every value of a response header. */
export type HeaderReader = (name: string) => readonly string[]

export interface BodyOptions {
  readonly maxBytes: number
  /** From the Content-Length header; null without one. */
  readonly contentLength: number | null
  readonly consumer: BodyConsumer | null
  /** The memory for the bodies of one registry. Waits if it is used up. */
  readonly budget: ByteBudget
  readonly signal: AbortSignal
}

/**
 * The memory for response bodies of a whole program, whatever the number of registries and requests. The image limits the
 * memory of the webhook and of the controller to 384 MiB; a command runs alone on someone's machine.
 */
export const bodyBudgetBytes = {
  webhook: 16 * 1024 * 1024,
  controller: 32 * 1024 * 1024,
  command: 64 * 1024 * 1024,
} as const

/** The share of the memory for one registry, so that a registry that sends slowly does not delay the others. */
export const registryShare = 1 / 4

/** What undici and the socket buffer of a body that is read in pieces: 64 KiB each. */
const bufferedBytes = 128 * 1024

/** Returns the body, empty if a consumer has received it; null if it is too large, or if the consumer has stopped it. */
export async function readBody(body: Readable, options: BodyOptions): Promise<Buffer | null> {
  const { maxBytes, contentLength, consumer, budget, signal } = options
  if (contentLength === 0) return readPieces(body, maxBytes, null)
  if (contentLength !== null && contentLength > maxBytes) return discardBody(body)
  const bytes = consumer === null ? Math.min(contentLength ?? maxBytes, maxBytes) : bufferedBytes
  // undici destroys the body when the signal aborts.
  const release = await budget.acquire(bytes, signal)
  try {
    return await readPieces(body, maxBytes, consumer)
  } finally {
    release()
  }
}

async function readPieces(
  body: Readable,
  maxBytes: number,
  consumer: BodyConsumer | null,
): Promise<Buffer | null> {
  const kept = createBodyBuffer(maxBytes)
  let size = 0
  // Leaving the loop destroys the stream and its connection.
  for await (const piece of body as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > maxBytes) return null
    if (consumer === null) kept.append(piece)
    else if (!consumer.write(piece)) return null
  }
  return kept.bytes()
}

/** Closes the connection without reading the body. */
export function discardBody(body: Readable): null {
  // A stream that is destroyed before its end emits an error.
  body.on('error', () => undefined).destroy()
  return null
}
