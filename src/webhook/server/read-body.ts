/** Reads the body of a request, and counts the bytes of large bodies against the concurrency limit as they arrive. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { largeBytes, type ConcurrencyLimit } from './concurrency-limit.ts'
import { HttpError } from './error-response.ts'

/**
 * An API server takes objects of 3 MiB; an UPDATE review carries two of them and the request around them.
 *
 * @internal Exported for tests.
 */
export const maxReviewBytes = 8 * 1024 * 1024

/**
 * Resolves to the whole body. Rejects with 413 above `maxReviewBytes` and with 503 when large bodies use up the limit; the
 * rest of such a body is discarded as it arrives. Stays pending when the caller closes the connection before the end.
 */
export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  limit: ConcurrencyLimit,
): Promise<Buffer> {
  const { 'content-length': length } = request.headers
  if (Number(length) > maxReviewBytes) return Promise.reject(tooLarge())
  // Without a length, the body may become large.
  const isCounted = !(Number(length ?? Infinity) <= largeBytes)
  const chunks: Buffer[] = []
  let received = 0
  let reserved = 0
  let isRejected = false

  function release(): void {
    limit.release(reserved)
    reserved = 0
  }

  function take(chunk: Buffer): HttpError | null {
    received += chunk.length
    if (received > maxReviewBytes) return tooLarge()
    if (isCounted) {
      if (!limit.reserve(chunk.length))
        return new HttpError(503, 'too many large reviews are in flight')
      reserved += chunk.length
    }
    chunks.push(chunk)
    return null
  }

  if (isCounted) response.once('close', release)
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      if (isRejected) return
      const error = take(chunk)
      if (error === null) return
      isRejected = true
      // Now, not when the response closes: other bodies that are almost complete need the room.
      release()
      chunks.length = 0
      reject(error)
    })
    request.on('end', () => {
      const [only] = chunks
      if (!isRejected)
        resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, received))
    })
  })
}

function tooLarge(): HttpError {
  return new HttpError(413, `the body is larger than ${maxReviewBytes} bytes`)
}
