/** Answers the bytes of a review with the text of the answer, and logs and counts it. */
import type { Lane } from '../../async/lane.ts'
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import { podFields } from '../../decision/pod/pod-fields.ts'
import type { AdmissionLog } from '../admission/admission-log.ts'
import { toReview } from '../admission/admission-response.ts'
import { type AdmissionRequest, readReview } from '../admission/admission-review.ts'
import { type Admit, type AdmitOptions, outcomeOf } from '../admission/admit.ts'
import type { WebhookMetrics } from '../../telemetry/webhook-metrics.ts'
import { HttpError } from './error-response.ts'

export interface ResponderDependencies {
  readonly admit: Admit
  readonly lane: Lane
  readonly metrics: Pick<WebhookMetrics, 'admitted'>
  readonly log: AdmissionLog
}

/** Throws an `HttpError` with 400 for a body that is not an AdmissionReview. */
export type RespondToReview = (body: Buffer, options: AdmitOptions) => MaybePromise<string>

/** Parsing a body of this size takes about two milliseconds. */
const largeBytes = 256 * 1024

/** Returns the function. Large reviews take turns (`lane`), so that small ones do not wait for them. */
export function createReviewResponder({
  admit,
  lane,
  metrics,
  log,
}: ResponderDependencies): RespondToReview {
  function respond(request: AdmissionRequest, options: ReviewOptions): MaybePromise<string> {
    const admitting = admit(request, options)
    const waited = admitting instanceof Promise
    return mapMaybe(admitting, (admission) => {
      const milliseconds = performance.now() - options.started
      metrics.admitted(
        {
          operation: request.operation,
          outcome: outcomeOf(admission),
          mode: admission.mode,
          resolutions: admission.decisions.flatMap(({ resolution }) => resolution ?? []),
          fieldsOverLimit: admission.rest?.fields ?? 0,
        },
        { seconds: milliseconds / 1000, waited },
      )
      log({ request, admission, milliseconds })
      const write = () => JSON.stringify(toReview(request.uid, admission.verdict))
      return admission.rest === null ? write() : lane.next().then(write)
    })
  }

  return (body, admitOptions) => {
    const options = { ...admitOptions, started: performance.now() }
    if (body.length <= largeBytes) return respond(parse(body), options)
    // The wait for a turn is part of the time budget.
    options.signal()
    return lane
      .next()
      .then(() => withoutUnusedFields(parse(body)))
      .then((request) => respond(request, options))
  }
}

interface ReviewOptions extends AdmitOptions {
  /** When the body was complete, in milliseconds of a monotonic clock. */
  readonly started: number
}

function parse(body: Buffer): AdmissionRequest {
  const review = readReview(body)
  if (!review.ok) throw new HttpError(400, review.message)
  return review.request
}

/** Large reviews wait for registries at the same time: what they hold must be small. */
function withoutUnusedFields(request: AdmissionRequest): AdmissionRequest {
  const { object, oldObject } = request
  return { ...request, object: podFields(object), oldObject: podFields(oldObject) }
}
