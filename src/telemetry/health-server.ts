/** The plain HTTP server for health checks and metrics. */
import Fastify, { type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import { BerthError } from '../errors.ts'
import { type ConnectionLimits, limitConnections } from '../http/connection-limit.ts'
import { withoutSchemas } from '../http/without-schemas.ts'
import { recordHistory } from './metrics-history.ts'

export interface HealthOptions {
  readonly metrics: { readonly registry: Registry }
  /** Null when ready, else why not. */
  readonly notReady: () => string | null
}

/** The kubelet opens a connection for each check, and Prometheus keeps one. */
const connectionLimits: ConnectionLimits = { total: 128, perCaller: 64 }

/** The time for a whole request, which has no body. */
const requestTimeoutMs = 5_000

/**
 * Creates the server: `/healthz` and `/readyz` for the kubelet, `/metrics` for Prometheus,
 * and `/metrics/history` for `berth console`. It does not listen yet.
 */
export async function createHealthApp({
  metrics: { registry },
  notReady,
}: HealthOptions): Promise<FastifyInstance> {
  const app = Fastify({ requestTimeout: requestTimeoutMs, schemaController: withoutSchemas })
  limitConnections(app.server, connectionLimits)
  // No request has a body.
  app.removeAllContentTypeParsers()
  app.get('/healthz', () => 'ok\n')
  app.get('/readyz', (_, reply) => {
    const reason = notReady()
    return reason === null ? 'ok\n' : reply.code(503).send(`${reason}\n`)
  })
  app.get('/metrics', (_, reply) => {
    reply.type(registry.contentType)
    return registry.metrics()
  })
  const history = recordHistory(registry)
  app.addHook('onClose', async () => history.stop())
  app.get('/metrics/history', () => history.read())
  await app.ready()
  return app
}

/** The part of a fastify server that `listen` needs, with or without TLS. */
type Listener = Pick<FastifyInstance, 'listen'> & {
  readonly server: Pick<FastifyInstance['server'], 'address'>
}

/** Listens and returns the port. Throws `listen-failed`. */
export async function listen(app: Listener, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'listen-failed',
      `cannot listen on ${host}:${port}: ${code}; choose another port or host, or stop the process that uses it`,
      { cause },
    )
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}
