/** What every request has to pass before its body is read: the concurrency limit, the client certificate and the path. */
import type { IncomingMessage } from 'node:http'
import type { onRequestHookHandler } from 'fastify'
import type { ConcurrencyLimit } from './concurrency-limit.ts'
import { HttpError } from './error-response.ts'

export interface RequestGuardOptions {
  readonly limit: ConcurrencyLimit
  /** True while the process drains: responses ask callers to close the connection and open another one. */
  readonly isDraining: () => boolean
  readonly isAllowedClient: (request: IncomingMessage) => boolean
  /** The paths that take reviews, by POST only. */
  readonly reviewPaths: readonly string[]
}

/**
 * The property of a fastify request that has its slot. Not a WeakMap: in the old generation, it keeps the requests of the young
 * one alive until the next full collection.
 */
export const slotKey = 'slot'

/** Returns the onRequest hook. It ends a request with 503, 403, 404 or 405, or lets it pass. */
export function createRequestGuard({
  limit,
  isDraining,
  isAllowedClient,
  reviewPaths,
}: RequestGuardOptions): onRequestHookHandler {
  return (request, reply, done) => {
    if (isDraining()) reply.header('connection', 'close')
    const slot = limit.begin(request.raw.socket.remoteAddress ?? '')
    if (slot === null) return done(new HttpError(503, 'too many requests are in flight'))
    request.setDecorator(slotKey, slot)
    // Emitted once for every request, whether it was answered or not.
    reply.raw.once('close', () => slot.end())
    if (!isAllowedClient(request.raw))
      return done(new HttpError(403, 'this client certificate is not allowed to send reviews'))
    // Before the body is read: there is nothing to learn from it.
    if (request.is404) return done(noRoute(request.url, reviewPaths))
    done()
  }
}

function noRoute(url: string, reviewPaths: readonly string[]): HttpError {
  const path = url.replace(/\?.*$/s, '').replace(/\/$/, '')
  return reviewPaths.includes(path)
    ? new HttpError(405, `${path} takes POST only`, { allow: 'POST' })
    : new HttpError(404, `not found; send reviews to ${reviewPaths.join(' or ')}`)
}
