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
 * Throws an `HttpError`: 400 for a body that is not an AdmissionReview, or for a large one that nests too deep; 413 for one
 * that would take too much memory when parsed; 503 if all reviews together would.
 */
export type RespondToReview = (
  body: Buffer,
  slot: RequestSlot,
  options: AdmitOptions,
) => MaybePromise<string>

/**
 * Larger bodies take turns, and are measured before they are parsed. Parsing a body of this size takes about two milliseconds,
 * and its values take up to 20 MiB, most of which is released before the next body is parsed. Measuring it would take two
 * thirds of the time of parsing.
 */
const largeBytes = 256 * 1024

/**
 * Of larger bodies, only the fields that decisions read stay in memory while a review waits for registries. Smaller ones stay
 * as they are, and are measured if they wait.
 */
const reducedBytes = 16 * 1024

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
    if (body.length > largeBytes) {
      // The wait for a turn is part of the time budget.
      options.signal()
      return parseInTurns(body, slot, lane).then((request) => respond(request, options))
    }
    if (!slot.hasMemory()) throw noMemoryError(body)
    if (body.length >= reducedBytes) return respond(reduceRequest(parse(body), slot), options)
    const answer = respond(parse(body), options)
    if (answer instanceof Promise) slot.charge(memoryOf(body))
    return answer
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

/** Parses a review within the limits, with a turn for each step: none can be divided, and 8 MiB take tens of milliseconds in each. */
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

/** Returns the request with only the fields that decisions read, and counts their memory in place of that of the body. */
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
