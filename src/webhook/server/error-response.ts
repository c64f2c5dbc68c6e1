/** Error responses: a status and one line of plain text that says why. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { WebhookMetrics } from '../../telemetry/webhook-metrics.ts'

/** An error with the status and the message that the caller gets. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>

  constructor(statusCode: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.statusCode = statusCode
    this.headers = headers
  }
}

export interface ErrorHandlerOptions {
  readonly metrics: Pick<WebhookMetrics, 'refused'>
  /** Called with errors that Berth should not have. Their text stays out of the response. */
  readonly onBug: (error: unknown) => void
}

export type HandleError = (
  error: { readonly statusCode?: number },
  request: FastifyRequest,
  reply: FastifyReply,
) => void

/** Returns the error handler for fastify: it counts the error and sends the response. */
export function createErrorHandler({ metrics, onBug }: ErrorHandlerOptions): HandleError {
  return (error, _, reply) => {
    const { status, message, headers } = responseFor(error)
    if (status === 500) onBug(error)
    metrics.refused(status)
    reply.code(status).headers(headers).type('text/plain; charset=utf-8').send(`${message}\n`)
  }
}

function responseFor(error: { readonly statusCode?: number }): {
  readonly status: number
  readonly message: string
  readonly headers: Readonly<Record<string, string>>
} {
  if (error instanceof HttpError)
    return { status: error.statusCode, message: error.message, headers: error.headers }
  const { statusCode = 500 } = error
  const headers = {}
  if (statusCode === 415)
    return { status: 415, message: 'send the review as application/json', headers }
  if (statusCode < 500) return { status: statusCode, message: 'invalid request', headers }
  return { status: 500, message: 'internal error', headers }
}
