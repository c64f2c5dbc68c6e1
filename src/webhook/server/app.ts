/**
 * The HTTPS server for reviews: POST /mutate, and POST /observe for namespaces in shadow mode. Health checks and metrics have
 * a port of their own (telemetry/health-server.ts), which serves no secrets and needs no TLS.
 */
import type { Server } from 'node:https'
import type { TlsOptions } from 'node:tls'
import Fastify, { type FastifyInstance } from 'fastify'
import { type ConnectionLimits, limitConnections } from '../../http/connection-limit.ts'
import { withoutSchemas } from '../../http/without-schemas.ts'
import type { KeyPair } from '../certificate/certificate-files.ts'
import { type ClientAuthentication, createClientCheck, requireClients } from './client-auth.ts'
import { createConcurrencyLimit, type ConcurrencyLimit } from './concurrency-limit.ts'
import { createErrorHandler, type ErrorHandlerOptions } from './error-response.ts'
import { createRequestGuard, slotKey } from './request-guard.ts'
import { enforceRequestTimeouts } from './request-timeouts.ts'
import { createReviewHandler } from './review-handler.ts'
import { createReviewResponder, type ResponderDependencies } from './review-responder.ts'

export interface AppOptions extends ResponderDependencies {
  readonly metrics: ResponderDependencies['metrics'] & ErrorHandlerOptions['metrics']
  readonly onBug: (error: unknown) => void
  readonly tls: KeyPair
  /** Null: callers need no client certificate. */
  readonly clients?: ClientAuthentication | null
  readonly limit?: ConcurrencyLimit
  /** True while the process drains: responses ask callers to close their connections. */
  readonly isDraining?: () => boolean
  /** Whether the pod of a review that is too large to be read is denied; otherwise the review gets an HTTP error. */
  readonly deniesUnread?: () => boolean
}

export type App = FastifyInstance<Server>

/**
 * The API server closes idle connections after 90 s (net/http's default). Ours waits longer, so that the API server closes
 * first. The same goes for connections that it has opened and not used yet: Node applies its limit for headers to them.
 */
const keepAliveMs = 120_000

/** The headers of an API server arrive in one packet. */
const headersTimeoutMs = 5_000

/** The largest timeout of a webhook is 30 s, and sending the body is a part of it. */
const requestTimeoutMs = 10_000

/** Longer than the largest timeout of a webhook (30 s): an API server no longer waits for the response. */
const answerTimeoutMs = 35_000

/**
 * The time limits for senders. They are checked once in a fifth of the smallest limit.
 *
 * @internal Exported for tests.
 */
export const requestTimeouts = {
  headersMs: headersTimeoutMs,
  requestMs: requestTimeoutMs,
  answerMs: answerTimeoutMs,
  checkEveryMs: 1_000,
}

/**
 * 800 requests in flight and the idle connections that API servers keep. An idle one takes 45 kB. All API servers may
 * have one address, behind konnectivity.
 */
const connectionLimits: ConnectionLimits = { total: 1_024, perCaller: 768 }

/** The routes for reviews, and whether they observe only. */
const routes: ReadonlyMap<string, boolean> = new Map([
  ['/mutate', false],
  ['/observe', true],
])

/** All TLS options that depend on the certificate. A renewed certificate has to be set together with them. */
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

/** Creates the server; it does not listen yet. */
export async function createApp(options: AppOptions): Promise<App> {
  const { clients = null, metrics, onBug, isDraining = () => false } = options
  const { deniesUnread = () => false } = options
  const { limit = createConcurrencyLimit(() => performance.now()) } = options
  const app = Fastify({
    https: {
      ...tlsOptions(options.tls, clients),
      handshakeTimeout: headersTimeoutMs,
      headersTimeout: keepAliveMs,
    },
    keepAliveTimeout: keepAliveMs,
    // The limits that senders meet are in request-timeouts.ts.
    requestTimeout: keepAliveMs,
    // Requests that arrive while the server closes are answered like any other, and open connections are not cut.
    return503OnClosing: false,
    forceCloseConnections: false,
    routerOptions: { ignoreTrailingSlash: true },
    schemaController: withoutSchemas,
  })
  limitConnections(app.server, connectionLimits)
  enforceRequestTimeouts(app.server, { now: () => performance.now(), ...requestTimeouts })
  // The handler reads the body itself, because it counts the bytes until the response is sent.
  app.addHttpMethod('POST', { hasBody: false, overrideExisting: true })
  app.setErrorHandler(createErrorHandler({ metrics, onBug }))
  app.decorateRequest(slotKey, null)
  app.addHook(
    'onRequest',
    createRequestGuard({
      limit,
      isDraining,
      isAllowedClient: createClientCheck(clients),
      reviewPaths: [...routes.keys()],
    }),
  )
  const respond = createReviewResponder(options)
  for (const [path, observeOnly] of routes)
    app.post(path, createReviewHandler({ respond, observeOnly, deniesUnread, metrics }))
  await app.ready()
  return app
}
