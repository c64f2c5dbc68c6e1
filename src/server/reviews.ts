/** One review in, one review out, under a deadline of its own. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Admission, Admit } from '../admission/handler.ts'
import { toReview } from '../admission/response.ts'
import { type AdmissionRequest, readReview } from '../admission/review.ts'
import type { AdmissionLog } from '../telemetry/admission-log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { maxReviewBytes, receiveBody } from './body.ts'
import { createDeadline } from './deadline.ts'
import type { Load } from './load.ts'

export interface ReviewDependencies {
  readonly admit: Admit
  readonly metrics: Metrics
  readonly log: AdmissionLog
  readonly onBug: (error: unknown) => void
}

export interface ReviewOptions extends ReviewDependencies {
  readonly load: Load
  readonly refuse: (response: ServerResponse, status: number, message: string) => void
}

/** Answers one POST, whatever is in it. */
export type TakeReview = (
  request: IncomingMessage,
  response: ServerResponse,
  observeOnly: boolean,
) => void

const tooMuch: Readonly<Record<number, string>> = {
  413: `the body is larger than ${maxReviewBytes} bytes`,
  503: 'too many reviews are under way',
}

/**
 * Makes the handler of POST /mutate. It works on Node's own request and response: what a framework does for each request,
 * between the two, costs more than deciding most pods.
 */
export function createReviews(options: ReviewOptions): TakeReview {
  const { admit, metrics, log, onBug, load, refuse } = options
  return (request, response, observeOnly) => {
    if (!isJson(request.headers['content-type'])) {
      return refuse(response, 415, 'send the review as application/json')
    }
    receiveBody(request, response, {
      load,
      onTooMuch: (status) => refuse(response, status, tooMuch[status] ?? ''),
      onBody: (body) => {
        try {
          decide(body)
        } catch (error) {
          bug(error)
        }
      },
    })

    function decide(body: Buffer): void {
      const started = performance.now()
      const review = readReview(body)
      if (!review.ok) return refuse(response, 400, review.message)
      const deadline = createDeadline(request, response)
      const admission = admit(review.request, { signal: deadline.signal, observeOnly })
      if (!(admission instanceof Promise)) return answer(review.request, admission, started)
      void admission
        .then((made) => answer(review.request, made, started))
        .catch(bug)
        .finally(() => deadline.end())
    }

    function answer(asked: AdmissionRequest, made: Admission, started: number): void {
      const milliseconds = performance.now() - started
      metrics.admitted(asked, made, milliseconds / 1000)
      log({ request: asked, admission: made, milliseconds })
      const text = JSON.stringify(toReview(asked.uid, made.verdict))
      const headers = {
        'content-type': 'application/json; charset=utf-8',
        'content-length': Buffer.byteLength(text),
      }
      response.writeHead(200, headers).end(text)
    }

    function bug(error: unknown): void {
      onBug(error)
      refuse(response, 500, 'an internal error')
    }
  }
}

/** Parameters of the media type, such as a charset, say nothing: JSON is UTF-8 (RFC 8259, 8.1). */
function isJson(type: string | undefined): boolean {
  return type === 'application/json' || /^application\/json\s*(?:;|$)/i.test(type ?? '')
}
