/** The webhook process: what `serve` and `dev` have in common. Wires the rooms, listens, and stops in order. */
import type { FastifyInstance } from 'fastify'
import { noFacts, type NamespaceFacts } from '../admission/facts.ts'
import { type AdmissionDependencies, createAdmit } from '../admission/handler.ts'
import type { Config } from '../config/config.ts'
import { BerthError } from '../errors.ts'
import { createApp } from '../server/app.ts'
import { createHealthApp } from '../server/health.ts'
import type { KeyPair } from '../server/tls.ts'
import type { Logger } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { createEngine } from './engine.ts'

export interface WebhookOptions {
  readonly config: Config
  readonly tls: KeyPair
  readonly host: string
  readonly port: number
  readonly metricsPort: number
  readonly secretsDirectory: string
  readonly facts?: NamespaceFacts
  readonly log: Logger
}

export interface Webhook {
  readonly port: number
  readonly metricsPort: number
  /** Puts another configuration in force, for every review that begins from now on. */
  use(config: Config): void
  /** Tells of a config that was not put in force. */
  configFailed(): void
  /** Answers what has arrived, then stops. */
  close(): Promise<void>
}

/** A review that began with the old configuration has ended by then: the largest timeout of a webhook. */
const oldEngineLifeMs = 30_000

/** Starts both ports. Throws `listen-failed`. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const { log, secretsDirectory } = options
  const engineOptions = {
    secretsDirectory,
    onProblem: (problem: string) => log.warn({ problem }, 'credentials'),
  }
  let engine = createEngine(options.config, engineOptions)
  let generation = 1
  let draining = false
  const metrics = createMetrics({
    knows: (host) => engine.resolve.knows(host),
    circuits: () => engine.circuits.states(),
  })
  metrics.configLoaded(true, generation)
  const dependencies: AdmissionDependencies = {
    current: () => engine,
    facts: options.facts ?? noFacts,
    onBug: (error, uid) => log.error({ err: error, uid }, 'a bug; the pod was admitted as it is'),
  }
  const app = await createApp({
    admit: createAdmit(dependencies),
    metrics,
    log,
    tls: options.tls,
    onBug: (error) => log.error({ err: error }, 'a bug'),
  })
  const health = await createHealthApp({ metrics, notReady: () => (draining ? 'stopping' : null) })
  const port = await listen(app, options.host, options.port)
  const metricsPort = await listen(health, options.host, options.metricsPort)
  return {
    port,
    metricsPort,
    use: (config) => {
      const old = engine
      engine = createEngine(config, engineOptions)
      generation += 1
      metrics.configLoaded(true, generation)
      setTimeout(() => void old.close(), oldEngineLifeMs).unref()
    },
    configFailed: () => metrics.configLoaded(false, generation),
    close: async () => {
      draining = true
      await app.close()
      await health.close()
      await engine.close()
    },
  }
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'listen-failed',
      `cannot listen on ${host}:${port}: ${code}; choose another port, or stop what holds it`,
      { cause },
    )
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}
