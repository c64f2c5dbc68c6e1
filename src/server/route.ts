/** One review in, one review out, under a deadline of its own. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Admission, Admit } from '../admission/handler.ts'
import { readReview, type AdmissionRequest } from '../admission/review.ts'
import { toReview } from '../admission/response.ts'
import type { AdmissionLog } from '../telemetry/admission-log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createDeadline } from './deadline.ts'

export interface RouteDependencies {
  readonly admit: Admit
  readonly metrics: Metrics
  readonly log: AdmissionLog
  readonly onBug: (error: unknown) => void
}

type Refuse = (reply: FastifyReply, status: number, message: string) => FastifyReply

/** Makes the handler of POST /mutate. Work stops at the deadline, and when the caller has gone. */
export function createAdmitRoute(
  { admit, metrics, log, onBug }: RouteDependencies,
  refuse: Refuse,
): (request: FastifyRequest, reply: FastifyReply, observeOnly: boolean) => FastifyReply {
  return (request, reply, observeOnly) => {
    const started = performance.now()
    if (!Buffer.isBuffer(request.body)) {
      return refuse(reply, 415, 'send the review as application/json')
    }
    const review = readReview(request.body)
    if (!review.ok) return refuse(reply, 400, review.message)
    const deadline = createDeadline(request, reply)
    const admission = admit(review.request, {
      get signal() {
        return deadline.signal
      },
      observeOnly,
    })
    if (admission instanceof Promise) {
      void admission
        .then((made) => answer(review.request, made, true))
        .catch((error: unknown) => {
          onBug(error)
          refuse(reply, 500, 'an internal error')
        })
        .finally(() => deadline.end())
      return reply
    }
    return answer(review.request, admission, false)

    function answer(asked: AdmissionRequest, made: Admission, waited: boolean): FastifyReply {
      const milliseconds = performance.now() - started
      metrics.admitted(asked, made, { seconds: milliseconds / 1000, waited })
      log({ request: asked, admission: made, milliseconds })
      return reply
        .header('content-type', 'application/json; charset=utf-8')
        .send(JSON.stringify(toReview(asked.uid, made.verdict)))
    }
  }
}
