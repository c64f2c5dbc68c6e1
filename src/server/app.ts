/**
 * The HTTPS door: POST /mutate (and /observe, for namespaces in shadow mode), and nothing else that a cluster needs.
 * Health and metrics are on a port of their own (health.ts), which carries no secrets and needs no TLS.
 */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { TlsOptions } from 'node:tls'
import type { KeyPair } from './certificate.ts'
import { type ClientAuthentication, guardClients, requireClients } from './clients.ts'
import { createLoad, type Load } from './load.ts'
import { shedLoad } from './shedding.ts'
import { createAdmitRoute, type RouteDependencies } from './route.ts'

export interface AppOptions extends RouteDependencies {
  readonly tls: KeyPair
  /** Client certificates: whoever calls must show one from this CA for one of these names. Null: anybody may call. */
  readonly clients?: ClientAuthentication | null
  readonly load?: Load
  /** True while the process is leaving: callers are asked to come back on another connection. */
  readonly draining?: () => boolean
}

/** An API server takes objects of 3 MiB; an UPDATE review carries two of them and the request around them. */
export const maxReviewBytes = 8 * 1024 * 1024

/** The API server closes idle connections after 90 s (net/http's default): we wait longer, so that it closes first. */
const keepAliveMs = 120_000

/** Headers come in one packet; a caller that takes longer than this is not an API server. */
const headersTimeoutMs = 5_000

/** The largest timeout of a webhook is 30 s, and sending the body is a part of it. */
const requestTimeoutMs = 10_000

/** Node looks for slow senders only this often; its default of 30 s would keep them six times as long as meant. */
const lookForSlowMs = 1_000

/** Twelve hundred calls in flight, and as many idle connections behind them as API servers keep; far below the file limit of a pod. */
const maxConnections = 4_096

/** Everything about TLS that a listener has, and that a renewed certificate has to bring with it again. */
export function tlsOptions(
  pair: KeyPair,
  clients: ClientAuthentication | null | undefined,
): TlsOptions {
  return {
    cert: pair.cert,
    key: pair.key,
    minVersion: 'TLSv1.3',
    ...(clients ? requireClients(clients) : {}),
  }
}

/** Builds the app without listening. Bodies come as bytes: parsing is ours, so that no object of a tenant becomes an error. */
export async function createApp(options: AppOptions): Promise<FastifyInstance> {
  const app = Fastify({
    https: {
      ...tlsOptions(options.tls, options.clients),
      handshakeTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: lookForSlowMs,
    },
    logger: false,
    bodyLimit: maxReviewBytes,
    keepAliveTimeout: keepAliveMs,
    requestTimeout: requestTimeoutMs,
    // A request that arrives while we drain is answered like any other, and open connections are not cut.
    return503OnClosing: false,
    forceCloseConnections: false,
    routerOptions: { ignoreTrailingSlash: true },
  })
  app.server.maxConnections = maxConnections
  const { load = createLoad(() => performance.now()), draining = () => false } = options
  shedLoad(app, { load, draining, onShed: () => options.metrics.refused(503) })
  if (options.clients) guardClients(app, options.clients)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) =>
    done(null, body),
  )
  const refuse = (reply: FastifyReply, status: number, message: string) => {
    options.metrics.refused(status)
    return reply.code(status).type('text/plain; charset=utf-8').send(`${message}\n`)
  }
  const route = createAdmitRoute(options, refuse)
  for (const [url, observeOnly] of [
    ['/mutate', false],
    ['/observe', true],
  ] as const) {
    app.post(url, (request: FastifyRequest, reply: FastifyReply) =>
      route(request, reply, observeOnly),
    )
    app.route({
      method: ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'],
      url,
      handler: (_, reply) =>
        refuse(reply.header('allow', 'POST'), 405, `only POST is answered at ${url}`),
    })
  }
  app.setNotFoundHandler((_, reply) => refuse(reply, 404, 'reviews are answered at /mutate'))
  app.setErrorHandler(
    (error: { readonly statusCode?: number; readonly code?: string }, _, reply) => {
      const status = error.statusCode ?? 500
      if (status >= 500 && status !== 503) options.onBug(error)
      return refuse(reply, status, messages[status] ?? 'the request was not understood')
    },
  )
  await app.ready()
  return app
}

const messages: Readonly<Record<number, string>> = {
  400: 'the body is not JSON; send an AdmissionReview',
  413: `the body is larger than ${maxReviewBytes} bytes`,
  415: 'send the review as application/json',
  500: 'an internal error',
  503: 'too many reviews are under way',
}
