/** One review in, one review out, under a deadline of its own. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Admit } from '../admission/handler.ts'
import { readReview } from '../admission/review.ts'
import { toReview } from '../admission/response.ts'
import { budgetMs, OutOfTime } from '../resolve/budget.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { logAdmission } from '../telemetry/admission-log.ts'
import type { Logger } from '../telemetry/log.ts'

export interface RouteDependencies {
  readonly admit: Admit
  readonly metrics: Metrics
  readonly log: Logger
  readonly onBug: (error: unknown) => void
}

type Refuse = (reply: FastifyReply, status: number, message: string) => FastifyReply

/** Makes the handler of POST /mutate. Work stops at the deadline, and when the caller has gone. */
export function createAdmitRoute(
  { admit, metrics, log }: RouteDependencies,
  refuse: Refuse,
): (request: FastifyRequest, reply: FastifyReply, observeOnly: boolean) => Promise<FastifyReply> {
  return async (request, reply, observeOnly) => {
    const started = performance.now()
    if (!Buffer.isBuffer(request.body))
      return refuse(reply, 415, 'send the review as application/json')
    const review = readReview(request.body)
    if (!review.ok) return refuse(reply, 400, review.message)
    const stop = new AbortController()
    const timer = setTimeout(
      () => stop.abort(new OutOfTime()),
      budgetMs(queryOf(request)['timeout']),
    )
    const callerGone = () => stop.abort()
    reply.raw.once('close', callerGone)
    try {
      const admission = await admit(review.request, { signal: stop.signal, observeOnly })
      const milliseconds = performance.now() - started
      metrics.admitted(review.request, admission, milliseconds / 1000)
      logAdmission(log, { request: review.request, admission, milliseconds })
      return await reply
        .type('application/json')
        .send(JSON.stringify(toReview(review.request.uid, admission.verdict)))
    } finally {
      clearTimeout(timer)
      reply.raw.off('close', callerGone)
    }
  }
}

function queryOf(request: FastifyRequest): Readonly<Record<string, unknown>> {
  return request.query as Readonly<Record<string, unknown>>
}
