/** The plain HTTP port: is the process alive, does it want calls, and what has it counted. */
import Fastify, { type FastifyInstance } from 'fastify'
import { BerthError } from '../errors.ts'
import type { Metrics } from './webhook-metrics.ts'

export interface HealthOptions {
  readonly metrics: Pick<Metrics, 'registry'>
  /** Null when ready, else why not. */
  readonly notReady: () => string | null
}

/** `/healthz` and `/readyz` for the kubelet, `/metrics` for Prometheus. */
export async function createHealthApp({
  metrics,
  notReady,
}: HealthOptions): Promise<FastifyInstance> {
  const app = Fastify({ logger: false })
  app.get('/healthz', () => 'ok\n')
  app.get('/readyz', (_, reply) => {
    const reason = notReady()
    return reason === null ? 'ok\n' : reply.code(503).send(`${reason}\n`)
  })
  app.get('/metrics', async (_, reply) => {
    reply.type(metrics.registry.contentType)
    return metrics.registry.metrics()
  })
  await app.ready()
  return app
}

/** Listens, and returns the port. Throws `listen-failed`. */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'listen-failed',
      `cannot listen on ${host}:${port}: ${code}; choose another port or --host, or stop what holds it`,
      { cause },
    )
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}
