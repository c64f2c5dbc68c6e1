/** Answers the bytes of a review with the text of the answer, and logs and counts it. */
import type { Lane } from '../../async/lane.ts'
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import { podFields } from '../../decision/pod/pod-fields.ts'
import { type JsonMemoryLimits, measureJson, measureValue } from '../../json/measure-json.ts'
import type { AdmissionLog } from '../admission/admission-log.ts'
import { writeReview } from '../admission/admission-response.ts'
import { type AdmissionRequest, readReview } from '../admission/admission-review.ts'
import { type Admit, type AdmitOptions, outcomeOf } from '../admission/admit.ts'
import type { WebhookMetrics } from '../../telemetry/webhook-metrics.ts'
import type { RequestSlot } from './concurrency-limit.ts'
import { HttpError } from './error-response.ts'
import { UnreadReviewError } from './unread-review.ts'

export interface ResponderDependencies {
  readonly admit: Admit
  readonly lane: Lane
  readonly metrics: Pick<WebhookMetrics, 'admitted'>
  readonly log: AdmissionLog
}

/**
 * Throws an `HttpError`: 400 for a body that is not an AdmissionReview, or that nests too deep; 413 for one that would take
 * too much memory when parsed; 503 if all reviews together would.
 */
export type RespondToReview = (
  body: Buffer,
  slot: RequestSlot,
  options: AdmitOptions,
) => MaybePromise<string>

/** Parsing a body of this size takes about two milliseconds. */
const largeBytes = 256 * 1024

/**
 * Smaller bodies are measured only if the review waits for registries, because measuring takes half of the time of parsing.
 * Of larger ones, only the fields that decisions read stay in memory meanwhile.
 */
const measuredBytes = 16 * 1024

/** A pod has fewer than 20 levels. 8 MiB of containers need at most 60 MiB. */
const reviewLimits: JsonMemoryLimits = { depth: 128, parsedBytes: 64 * 1024 * 1024 }

/** Returns a function that answers reviews. Large reviews take turns (`lane`), so that small ones do not wait for them. */
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
      const write = () => writeReview(request.uid, admission.verdict)
      return admission.rest === null ? write() : lane.next().then(write)
    })
  }

  return (body, slot, admitOptions) => {
    const options = { ...admitOptions, started: performance.now() }
    if (body.length < measuredBytes) {
      if (!slot.hasMemory()) throw noMemoryError(body)
      const answer = respond(parse(body), options)
      if (answer instanceof Promise) slot.charge(memoryOf(body))
      return answer
    }
    if (body.length <= largeBytes) return respond(parseMeasured(body, slot), options)
    // The wait for a turn is part of the time budget.
    options.signal()
    return parseInTurns(body, slot, lane).then((request) => respond(request, options))
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

function memoryOf(body: Buffer): number {
  const size = measureJson(body, { depth: Infinity, parsedBytes: Infinity })
  return size.ok ? size.parsedBytes : 0
}

/** Parses a review within the limits, and counts the memory that it takes from now on in place of its body. */
function parseMeasured(body: Buffer, slot: RequestSlot): AdmissionRequest {
  reserveMemory(body, slot)
  return reduceRequest(parse(body), slot)
}

/** As `parseMeasured`, with a turn for each step: none can be divided, and 8 MiB take tens of milliseconds in each. */
async function parseInTurns(
  body: Buffer,
  slot: RequestSlot,
  lane: Lane,
): Promise<AdmissionRequest> {
  await lane.next()
  reserveMemory(body, slot)
  await lane.next()
  const parsed = parse(body)
  await lane.next()
  return reduceRequest(parsed, slot)
}

function reserveMemory(body: Buffer, slot: RequestSlot): void {
  const size = measureJson(body, reviewLimits)
  if (!size.ok) throw unreadError(size.problem, body)
  if (!slot.use('parsedBytes', size.parsedBytes)) throw noMemoryError(body)
}

/** Returns the request with only the fields that decisions read. */
function reduceRequest(parsed: AdmissionRequest, slot: RequestSlot): AdmissionRequest {
  slot.use('bodyBytes', 0)
  const request = {
    ...parsed,
    object: podFields(parsed.object),
    oldObject: podFields(parsed.oldObject),
  }
  slot.use('parsedBytes', measureValue(request))
  return request
}

function noMemoryError(body: Buffer): UnreadReviewError {
  return new UnreadReviewError(503, 'too many large reviews are in flight', body)
}

function unreadError(problem: 'too-deep' | 'too-large', body: Buffer): UnreadReviewError {
  const { depth, parsedBytes } = reviewLimits
  return problem === 'too-deep'
    ? new UnreadReviewError(400, `the body nests deeper than ${depth} levels`, body)
    : new UnreadReviewError(413, `the body takes more than ${parsedBytes} bytes as values`, body)
}
