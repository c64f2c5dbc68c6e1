/** The handler of the routes that take reviews: reads the body, sets the deadline, sends the answer. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ConcurrencyLimit } from './concurrency-limit.ts'
import { HttpError } from './error-response.ts'
import { readBody } from './read-body.ts'
import { createDeadline } from './review-deadline.ts'
import type { RespondToReview } from './review-responder.ts'

export interface ReviewHandlerOptions {
  readonly respond: RespondToReview
  readonly limit: ConcurrencyLimit
  /** True: decide and record, but change nothing. */
  readonly observeOnly: boolean
}

/** Returns a handler for requests whose body is not read yet. */
export function createReviewHandler({
  respond,
  limit,
  observeOnly,
}: ReviewHandlerOptions): (request: FastifyRequest, reply: FastifyReply) => Promise<string> {
  return async ({ raw, headers, url }, reply) => {
    // fastify takes a request without a body and without a content type for one that needs no parser.
    if (headers['content-type'] === undefined)
      throw new HttpError(415, 'send the review as application/json')
    const deadline = createDeadline(url, reply.raw)
    try {
      // No variable holds the body while the review waits for registries: it may have megabytes.
      const text = await readBody(raw, reply.raw, limit).then((body) =>
        respond(body, { signal: deadline.signal, observeOnly }),
      )
      reply.type('application/json; charset=utf-8')
      return text
    } finally {
      deadline.end()
    }
  }
}
