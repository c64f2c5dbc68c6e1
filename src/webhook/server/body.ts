/** Takes in the body of a request, and counts large ones while they arrive; see load.ts for how much is too much. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { largeBytes, type ConcurrencyLimit } from './concurrency-limit.ts'

/** An API server takes objects of 3 MiB; an UPDATE review carries two of them and the request around them. */
export const maxReviewBytes = 8 * 1024 * 1024

export interface Reception {
  readonly load: ConcurrencyLimit
  readonly onBody: (body: Buffer) => void
  /** 413 or 503. What is still to come of the body is thrown away as it comes. */
  readonly onTooMuch: (status: number) => void
}

/** Calls one of the two, once; neither when the caller goes away before all has arrived. */
export function receiveBody(
  request: IncomingMessage,
  response: ServerResponse,
  { load, onBody, onTooMuch }: Reception,
): void {
  const { 'content-length': announced } = request.headers
  if (Number(announced) > maxReviewBytes) return onTooMuch(413)
  // A sender that does not say how much is coming may send much.
  const isCounted = !(Number(announced ?? Infinity) <= largeBytes)
  const chunks: Buffer[] = []
  let received = 0
  let counted = 0
  let isStopped = false
  const stop = (status: number) => {
    isStopped = true
    // Given back at once, so that others which have come as far can be finished.
    giveBack()
    chunks.length = 0
    onTooMuch(status)
  }
  const giveBack = () => {
    load.release(counted)
    counted = 0
  }
  if (isCounted) response.once('close', giveBack)
  request.on('data', (chunk: Buffer) => {
    if (isStopped) return
    received += chunk.length
    if (received > maxReviewBytes) return stop(413)
    if (isCounted && !load.reserve(chunk.length)) return stop(503)
    if (isCounted) counted += chunk.length
    chunks.push(chunk)
  })
  request.on('end', () => {
    if (isStopped) return
    const [only] = chunks
    onBody(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, received))
  })
}
