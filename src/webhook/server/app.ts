/**
 * The HTTPS door: POST /mutate (and /observe, for namespaces in shadow mode), and nothing else that a cluster needs.
 * Health and metrics are on a port of their own (health.ts), which carries no secrets and needs no TLS.
 */
import type { ServerResponse } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import type { TlsOptions } from 'node:tls'
import Fastify, { type FastifyInstance } from 'fastify'
import type { KeyPair } from '../certificate/certificate-files.ts'
import { type ClientAuthentication, createClientCheck, requireClients } from './client-auth.ts'
import { createRequestGuard } from './request-guard.ts'
import { createConcurrencyLimit, type ConcurrencyLimit } from './concurrency-limit.ts'
import { sendError as refuseWith } from './error-response.ts'
import { createReviewHandler, type ReviewDependencies } from './review-handler.ts'
import { enforceRequestTimeouts } from './request-timeouts.ts'

export interface AppOptions extends ReviewDependencies {
  readonly tls: KeyPair
  /** Client certificates: whoever calls must show one from this CA for one of these names. Null: anybody may call. */
  readonly clients?: ClientAuthentication | null
  readonly load?: ConcurrencyLimit
  /** True while the process is leaving: callers are asked to come back on another connection. */
  readonly draining?: () => boolean
}

/**
 * The API server closes idle connections after 90 s (net/http's default): we wait longer, so that it closes first. That
 * goes for those as well that it has opened and not used yet, to which Node applies its limit of the headers.
 */
const keepAliveMs = 120_000

/** Headers come in one packet; a caller that takes longer than this is not an API server. */
const headersTimeoutMs = 5_000

/** The largest timeout of a webhook is 30 s, and sending the body is a part of it. */
const requestTimeoutMs = 10_000

/** What senders have to keep to; between two looks there is a fifth of the smallest limit. */
export const senderLimits = {
  headersMs: headersTimeoutMs,
  requestMs: requestTimeoutMs,
  lookEveryMs: 1_000,
}

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

/** Where reviews are taken, and whether they are only looked at there. */
const reviewPaths: ReadonlyMap<string, boolean> = new Map([
  ['/mutate', false],
  ['/observe', true],
])

/**
 * Builds the app without listening. Reviews come in by a short way of their own, in front of fastify, and by fastify's
 * router when their path is written in some other way; everything that is no review is fastify's to answer.
 */
export async function createApp(options: AppOptions): Promise<FastifyInstance> {
  const { load = createConcurrencyLimit(() => performance.now()), draining = () => false } = options
  const refuse = (response: ServerResponse, status: number, message: string) => {
    options.metrics.refused(status)
    refuseWith(response, status, message)
  }
  const mayCall = createClientCheck(options.clients ?? null)
  const enter = createRequestGuard({ load, draining, mayCall, refuse })
  const takeReview = createReviewHandler({ ...options, load, refuse })
  const app = Fastify({
    serverFactory: (framework) => {
      const server = createServer(serverOptions(options), (request, response) => {
        slowSenders.began(request)
        const { method, url = '' } = request
        const observeOnly = method === 'POST' ? reviewPaths.get(pathOf(url)) : undefined
        if (observeOnly === undefined) framework(request, response)
        else if (enter(request, response)) takeReview(request, response, observeOnly)
      })
      server.maxConnections = maxConnections
      const slowSenders = enforceRequestTimeouts(server, {
        now: () => performance.now(),
        ...senderLimits,
      })
      return server
    },
    logger: false,
    // A request that arrives while we drain is answered like any other, and open connections are not cut.
    return503OnClosing: false,
    forceCloseConnections: false,
    routerOptions: { ignoreTrailingSlash: true },
  })
  // Nothing but a review is read.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_, __, done) => done(null))
  app.addHook('onRequest', ({ raw }, reply, done) => {
    if (enter(raw, reply.raw)) return done()
    reply.hijack()
  })
  for (const [url, observeOnly] of reviewPaths) {
    app.all(url, ({ raw }, reply) => {
      reply.hijack()
      if (raw.method === 'POST') return takeReview(raw, reply.raw, observeOnly)
      reply.raw.setHeader('allow', 'POST')
      refuse(reply.raw, 405, `only POST is answered at ${url}`)
    })
  }
  app.setNotFoundHandler((_, reply) => {
    reply.hijack()
    refuse(reply.raw, 404, 'reviews are answered at /mutate')
  })
  app.setErrorHandler((error: { readonly statusCode?: number }, _, reply) => {
    reply.hijack()
    const { statusCode: status = 500 } = error
    if (status >= 500) options.onBug(error)
    refuse(reply.raw, status, status < 500 ? 'the request was not understood' : 'an internal error')
  })
  await app.ready()
  return app
}

/** The path without its query, and without a slash at its end. */
function pathOf(url: string): string {
  const end = url.indexOf('?')
  const path = end < 0 ? url : url.slice(0, end)
  return path.endsWith('/') ? path.slice(0, -1) : path
}

function serverOptions({ tls, clients }: AppOptions): ServerOptions {
  return {
    ...tlsOptions(tls, clients),
    handshakeTimeout: headersTimeoutMs,
    // Ours are in slow-senders.ts.
    requestTimeout: keepAliveMs,
    headersTimeout: keepAliveMs,
    keepAliveTimeout: keepAliveMs,
  }
}
