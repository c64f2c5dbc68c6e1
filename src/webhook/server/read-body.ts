/** Reads the body of a request, and counts the bytes of large bodies against the concurrency limit as they arrive. */
import type { IncomingMessage } from 'node:http'
import { type BodyBuffer, createBodyBuffer } from '../../http/body-buffer.ts'
import { largeBytes, type RequestSlot } from './concurrency-limit.ts'
import { HttpError } from './error-response.ts'
import { UnreadReviewError } from './unread-review.ts'

/**
 * An API server takes objects of 3 MiB; an UPDATE review carries two of them and the request around them.
 *
 * @internal Exported for tests.
 */
export const maxReviewBytes = 8 * 1024 * 1024

/**
 * A piece of a body takes some microseconds, whatever its size, so that pieces of one byte would take all of the time. Those of
 * an API server are TLS records of 1 KiB or more.
 */
const minPieceBytes = 128

/** Pieces that may be smaller. */
const maxSmallPieces = 64

/** The answer to a body that is announced to be too large needs its first bytes, and waits for them this long. */
const firstBytesMs = 500

/**
 * Resolves to the whole body. Rejects with 413 above `maxReviewBytes`, and with 503 when large bodies use up the limit or
 * another request needs the slot of a late one; the rest of such a body is discarded as it arrives. Rejects with 400 for too many
 * small pieces, and closes the connection. Stays pending when the caller closes the connection before the end.
 */
export function readBody(request: IncomingMessage, slot: RequestSlot): Promise<Buffer> {
  const { 'content-length': length } = request.headers
  // Without a length, the body may become large.
  const isCounted = !(Number(length ?? Infinity) <= largeBytes)
  const isTooLong = Number(length) > maxReviewBytes
  /** Null from the end on: the request, and with it these functions, stays until it is answered. */
  let body: BodyBuffer | null = createBodyBuffer(Number(length ?? maxReviewBytes))
  let received = 0
  let pieces = 0

  function take(into: BodyBuffer, chunk: Buffer): HttpError | null {
    received += chunk.length
    into.append(chunk)
    pieces += 1
    if (pieces > maxSmallPieces + received / minPieceBytes)
      return new HttpError(400, 'the body arrives in pieces that are too small', {
        connection: 'close',
      })
    if (received > maxReviewBytes || isTooLong) return tooLarge(into.bytes())
    return !isCounted || slot.use('bodyBytes', received)
      ? null
      : new UnreadReviewError(503, 'too many large reviews are in flight', into.bytes())
  }

  return new Promise((resolve, reject) => {
    function fail(error: HttpError): void {
      if (body === null) return
      body = null
      // Now, not when the response closes: other bodies that are almost complete need the room.
      slot.use('bodyBytes', 0)
      reject(error)
    }

    // V8 allocates a function that is written directly into a property in the old generation, and everything that it refers
    // to then stays until the next full collection.
    const abort = () =>
      fail(
        new UnreadReviewError(
          503,
          'the body is late, and other requests need the room',
          body?.bytes(),
        ),
      )
    slot.onAbort = abort
    // An API server sends the first bytes together with the headers.
    if (isTooLong) setTimeout(() => fail(tooLarge()), firstBytesMs).unref()
    request.on('data', (chunk: Buffer) => {
      if (body === null) return
      const error = take(body, chunk)
      if (error !== null) fail(error)
    })
    request.on('end', () => {
      if (body === null) return
      slot.bodyArrived()
      resolve(body.bytes())
      body = null
    })
  })
}

function tooLarge(head?: Buffer): HttpError {
  return new UnreadReviewError(413, `the body is larger than ${maxReviewBytes} bytes`, head)
}
