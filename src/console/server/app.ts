/** The HTTP server of the console: its page, a stream of changes, and an API for the page. */
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { type ConnectionLimits, limitConnections } from '../../http/connection-limit.ts'
import { withoutSchemas } from '../../http/without-schemas.ts'
import type { Live } from '../live.ts'
import { createAnswers, type AnswerOptions } from './answers.ts'
import { createEventStreams } from './event-stream.ts'
import type { PageFiles } from './page-files.ts'
import { type GuardOptions, refuse, responseHeaders } from './request-guard.ts'

export interface ConsoleAppOptions extends AnswerOptions {
  readonly live: Live
  readonly page: PageFiles
  /** Null until the server listens. */
  readonly guard: () => GuardOptions | null
  /** Receives a bug. */
  readonly onBug: (error: unknown) => void
}

/** A browser opens six connections to one host. */
const connectionLimits: ConnectionLimits = { total: 128, perCaller: 128 }

/** The time to send a request, in milliseconds. */
const requestTimeoutMs = 10_000

/** A config file has at most 1 MiB, and JSON can write a character with six. */
const maxBody = 6 * 1024 * 1024

/** Enough for an image with its labels, where no draft is compared. */
const maxBodyShared = 256 * 1024

/** API requests that are handled at the same time. Each can contact registries. */
const maxRequests = 8

/** Creates the server; it does not listen yet. */
export function createConsoleApp(options: ConsoleAppOptions): FastifyInstance {
  const { live, page, guard, isShared, onBug } = options
  const bodyLimit = isShared ? maxBodyShared : maxBody
  const app = Fastify({
    bodyLimit,
    requestTimeout: requestTimeoutMs,
    schemaController: withoutSchemas,
  })
  limitConnections(app.server, connectionLimits)
  const streams = createEventStreams(live)
  const answers = createAnswers(options)
  let requests = 0
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(responseHeaders)
    // The route that was found, not the path of the request: the router also reads `/%61pi/` and whole URLs as `/api/`.
    const isPage = page.has(request.routeOptions.url ?? '')
    const guarded = guard()
    if (guarded === null) return sendProblem(reply, 503, 'the console is starting')
    const refusal = refuse(guarded, { isPage, headers: request.headers })
    if (refusal !== null) return sendProblem(reply, refusal.status, refusal.message)
  })
  app.addHook('preClose', async () => streams.close())
  app.setNotFoundHandler((_, reply) => sendProblem(reply, 404, 'not found'))
  app.setErrorHandler(
    (error: { readonly statusCode?: number; readonly message: string }, _, reply) => {
      const { statusCode = 500, message } = error
      if (statusCode < 500) return sendProblem(reply, statusCode, message)
      onBug(error)
      return sendProblem(reply, 500, 'a bug in Berth; see its log')
    },
  )
  for (const [path, { type, content }] of page)
    app.get(path, (_, reply) => reply.type(type).send(content))
  app.get('/api/events', (_, reply) => {
    if (!streams.open(reply.raw)) return sendProblem(reply, 503, 'too many pages are open')
    return reply.hijack()
  })
  for (const [path, answer] of Object.entries(answers))
    app.post(`/api/${path}`, async ({ body }, reply) => {
      if (requests >= maxRequests) return sendProblem(reply, 503, 'too many requests at once')
      requests += 1
      try {
        const answered = await answer(body)
        return await ('problem' in answered
          ? sendProblem(reply, answered.status, answered.problem)
          : reply.send(answered.value))
      } finally {
        requests -= 1
      }
    })
  return app
}

function sendProblem(reply: FastifyReply, status: number, problem: string): FastifyReply {
  return reply.code(status).send({ problem })
}
