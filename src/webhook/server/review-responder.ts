/** Answers the bytes of a review with the text of the answer, and logs and counts it. */
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import type { AdmissionLog } from '../admission/admission-log.ts'
import { toReview } from '../admission/admission-response.ts'
import { readReview } from '../admission/admission-review.ts'
import { type Admit, type AdmitOptions, outcomeOf } from '../admission/admit.ts'
import type { WebhookMetrics } from '../../telemetry/webhook-metrics.ts'
import { HttpError } from './error-response.ts'

export interface ResponderDependencies {
  readonly admit: Admit
  readonly metrics: Pick<WebhookMetrics, 'admitted'>
  readonly log: AdmissionLog
}

/** Throws an `HttpError` with 400 for a body that is not an AdmissionReview. */
export type RespondToReview = (body: Buffer, options: AdmitOptions) => MaybePromise<string>

export function createReviewResponder({
  admit,
  metrics,
  log,
}: ResponderDependencies): RespondToReview {
  return (body, options) => {
    const started = performance.now()
    const review = readReview(body)
    if (!review.ok) throw new HttpError(400, review.message)
    const { request } = review
    const admitting = admit(request, options)
    const waited = admitting instanceof Promise
    return mapMaybe(admitting, (admission) => {
      const milliseconds = performance.now() - started
      metrics.admitted(
        {
          operation: request.operation,
          outcome: outcomeOf(admission),
          mode: admission.mode,
          resolutions: admission.decisions.flatMap(({ resolution }) => resolution ?? []),
        },
        { seconds: milliseconds / 1000, waited },
      )
      log({ request, admission, milliseconds })
      return JSON.stringify(toReview(request.uid, admission.verdict))
    })
  }
}
