/** The handler of the routes that take reviews: reads the body, sets the deadline, sends the answer. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RequestSlot } from './concurrency-limit.ts'
import { HttpError } from './error-response.ts'
import { readBody } from './read-body.ts'
import type { WebhookMetrics } from '../../telemetry/webhook-metrics.ts'
import { createDeadline } from './review-deadline.ts'
import type { RespondToReview } from './review-responder.ts'
import { slotKey } from './request-guard.ts'
import { denyUnread, UnreadReviewError } from './unread-review.ts'

export interface ReviewHandlerOptions {
  readonly respond: RespondToReview
  /** True: decide and record, but change nothing. */
  readonly observeOnly: boolean
  /** Whether the pod of a review that is too large to be read is denied. */
  readonly deniesUnread: () => boolean
  readonly metrics: Pick<WebhookMetrics, 'refused'>
}

/** Returns a handler for requests whose body is not read yet. */
export function createReviewHandler({
  respond,
  observeOnly,
  deniesUnread,
  metrics,
}: ReviewHandlerOptions): (request: FastifyRequest, reply: FastifyReply) => Promise<string> {
  function denialOf(error: UnreadReviewError): string | null {
    const denial = !observeOnly && deniesUnread() ? denyUnread(error) : null
    if (denial !== null) metrics.refused(error.statusCode)
    return denial
  }

  return async (request, reply) => {
    const { raw, url } = request
    if (request.mediaType !== 'application/json')
      throw new HttpError(415, 'send the review as application/json')
    const slot = request.getDecorator<RequestSlot>(slotKey)
    const deadline = createDeadline(url, reply.raw)
    try {
      // No variable holds the body while the review waits for registries: it may have megabytes.
      const text = await readBody(raw, slot).then((body) =>
        respond(body, slot, { signal: deadline.signal, observeOnly }),
      )
      reply.type('application/json; charset=utf-8')
      return text
    } catch (error) {
      const denial = error instanceof UnreadReviewError ? denialOf(error) : null
      if (denial === null) throw error
      reply.type('application/json; charset=utf-8')
      return denial
    } finally {
      deadline.end()
    }
  }
}
