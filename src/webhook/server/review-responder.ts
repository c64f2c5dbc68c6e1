/** From the bytes of a review to the text that answers it, told to log and metrics on the way. */
import { mapMaybe } from '../../async/maybe-promise.ts'
import { type Admission, type Admit, type AdmitOptions, outcomeOf } from '../admission/admit.ts'
import { createReplicas } from '../admission/replicas.ts'
import { toReview } from '../admission/admission-response.ts'
import { type AdmissionRequest, readReview } from '../admission/admission-review.ts'
import { member } from '../../json/json.ts'
import type { AdmissionLog } from '../admission/admission-log.ts'
import type { Metrics } from '../../telemetry/webhook-metrics.ts'

export interface ResponderDependencies {
  readonly admit: Admit
  readonly metrics: Pick<Metrics, 'admitted'>
  readonly log: AdmissionLog
}

/** `ok` is false for what is no review; the message says why. */
export type ReviewResponse =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly message: string }

export type RespondToReview = (
  body: Buffer,
  options: AdmitOptions,
) => ReviewResponse | Promise<ReviewResponse>

/** An answer that stands for others: all of it but the uid. */
interface Kept {
  readonly request: AdmissionRequest
  readonly admission: Admission
  readonly before: string
  readonly after: string
}

/** Makes the function that answers reviews. It rejects and throws for a bug only. */
export function createReviewResponder({
  admit,
  metrics,
  log,
}: ResponderDependencies): RespondToReview {
  const [changing, observing] = [createReplicas<Kept>(), createReplicas<Kept>()]
  const tell = (
    request: AdmissionRequest,
    admission: Admission,
    { started, waited }: { readonly started: number; readonly waited: boolean },
  ) => {
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
  }
  return (body, options) => {
    const started = performance.now()
    const replicas = options.observeOnly ? observing : changing
    const replica = replicas.find(body)
    if (replica !== null && replica.made.admission.holds()) {
      const { uid, made } = replica
      tell({ ...made.request, uid }, made.admission, { started, waited: false })
      return { ok: true, text: `${made.before}${uid}${made.after}` }
    }
    const review = readReview(body)
    if (!review.ok) return review
    const { request } = review
    const admitting = admit(request, options)
    const waited = admitting instanceof Promise
    return mapMaybe(admitting, (admission): ReviewResponse => {
      tell(request, admission, { started, waited })
      const text = JSON.stringify(toReview(request.uid, admission.verdict))
      if (admission.holds()) replicas.keep(body, request, keptOf(request, admission, text))
      return { ok: true, text }
    })
  }
}

function keptOf(request: AdmissionRequest, admission: Admission, text: string): Kept {
  const [before = '', ...rest] = text.split(request.uid)
  return { request: withoutPod(request), admission, before, after: rest.join(request.uid) }
}

/** A parsed pod is several times its text; of one that is kept only the name is needed, for the log. */
function withoutPod(request: AdmissionRequest): AdmissionRequest {
  const metadata = member(request.object, 'metadata')
  const names = { name: member(metadata, 'name'), generateName: member(metadata, 'generateName') }
  return { ...request, object: { metadata: names }, oldObject: null }
}
