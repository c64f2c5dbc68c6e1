/** The HTTP around a review: body in, answer out, under a deadline of its own. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Metrics } from '../../telemetry/webhook-metrics.ts'
import {
  type ReviewResponse,
  type ResponderDependencies,
  createReviewResponder,
} from './review-responder.ts'
import { maxReviewBytes, receiveBody } from './body.ts'
import { createDeadline } from './review-deadline.ts'
import type { ConcurrencyLimit } from './concurrency-limit.ts'

export interface ReviewDependencies extends ResponderDependencies {
  readonly metrics: Metrics
  readonly onBug: (error: unknown) => void
}

export interface ReviewOptions extends ReviewDependencies {
  readonly load: ConcurrencyLimit
  readonly refuse: (response: ServerResponse, status: number, message: string) => void
}

/** Answers one POST, whatever is in it. */
export type HandleReview = (
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
export function createReviewHandler(options: ReviewOptions): HandleReview {
  const { onBug, load, refuse } = options
  const answerReview = createReviewResponder(options)
  return (request, response, observeOnly) => {
    if (!isJson(request.headers['content-type'])) {
      return refuse(response, 415, 'send the review as application/json')
    }
    receiveBody(request, response, {
      load,
      onTooMuch: (status) => refuse(response, status, tooMuch[status] ?? ''),
      onBody: (body) => {
        const deadline = createDeadline(request, response)
        try {
          const answer = answerReview(body, { signal: deadline.signal, observeOnly })
          if (!(answer instanceof Promise)) return send(answer)
          void answer
            .then(send)
            .catch(bug)
            .finally(() => deadline.end())
        } catch (error) {
          bug(error)
        }
      },
    })

    function send(answer: ReviewResponse): void {
      if (!answer.ok) return refuse(response, 400, answer.message)
      const { text } = answer
      const bytes = Buffer.byteLength(text)
      const headers = {
        'content-type': 'application/json; charset=utf-8',
        'content-length': bytes,
      }
      // ASCII, as nearly always, needs no encoder.
      response.writeHead(200, headers).end(text, bytes === text.length ? 'latin1' : 'utf8')
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
