/** The webhook process: what `serve` and `dev` have in common. Wires the rooms, listens, and stops in order. */
import { Server } from 'node:tls'
import type { SecretProvisioner } from './admission/secret-provisioner.ts'
import { noNamespaceLookup, type NamespaceLookup } from './admission/namespace-lookup.ts'
import { type AdmissionDependencies, createAdmit } from './admission/admit.ts'
import type { Config } from '../config/config.ts'
import { createApp, tlsOptions } from './server/app.ts'
import { createHealthApp, listen } from '../telemetry/health-server.ts'
import type { KeyPair } from './certificate/certificate-files.ts'
import type { ClientAuthentication } from './server/client-auth.ts'
import { drain } from './server/drain.ts'
import { createConcurrencyLimit } from './server/concurrency-limit.ts'
import { createAdmissionLog } from './admission/admission-log.ts'
import type { Logs } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/webhook-metrics.ts'
import { createEngine, createTokenStore } from '../engine/decision-engine.ts'

export interface WebhookOptions {
  readonly config: Config
  readonly tls: KeyPair
  /** When the certificate ends, for the metric. */
  readonly expires?: Date
  readonly clients?: ClientAuthentication | null
  readonly host: string
  readonly port: number
  readonly metricsPort: number
  readonly secretsDirectory: string
  readonly facts?: NamespaceLookup
  /** For the copies of each config that is in force. */
  readonly ensure?: (copies: Config['pullSecretCopies']['copies']) => SecretProvisioner
  /** Null when calls may come, else why not. */
  readonly notReady?: () => string | null
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly logs: Logs
}

export interface Webhook {
  readonly port: number
  readonly metricsPort: number
  /** Puts another configuration in force, for every review that begins from now on. */
  use(config: Config): void
  /** Tells of a config that was not put in force. */
  configFailed(): void
  /** Serves new connections with another certificate; those that are open go on. */
  useCertificate(pair: KeyPair, expires: Date): void
  certificateFailed(): void
  /** Says that it is not ready, goes on answering for `minimumMs` and until it is quiet, then returns. */
  drain(minimumMs: number, hurry?: AbortSignal): Promise<void>
  /** Answers what has arrived, then stops. */
  close(): Promise<void>
}

/** A review that began with the old configuration has ended by then: the largest timeout of a webhook. */
const oldEngineLifeMs = 30_000

/** Longer than any answer takes; what is still open then is somebody who never asked anything. */
const lastAnswerMs = 3_000

/** Starts both ports. Throws `listen-failed`. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const { secretsDirectory } = options
  const { log, admissions } = options.logs
  const given = {
    secretsDirectory,
    onProblem: (problem: string) => log.warn({ problem }, 'credentials'),
    env: options.env ?? {},
    onAnswered: (host: string, seconds: number) => metrics.answered(host, seconds),
  }
  const ecrTokens = createTokenStore(given)
  const engineOptions = { ...given, ecrTokens }
  /** Fetches what the first pods will be asked with; whoever comes before it is there waits no longer than any review. */
  const warm = ({ registries }: Config) => {
    for (const { credentials } of registries.values())
      if (credentials?.kind === 'ecr') void ecrTokens.current(credentials)
  }
  const make = (config: Config) => {
    const ensure = options.ensure?.(config.pullSecretCopies.copies)
    return { ...createEngine(config, engineOptions), ...(ensure === undefined ? {} : { ensure }) }
  }
  let engine = make(options.config)
  warm(options.config)
  let generation = 1
  let draining = false
  const load = createConcurrencyLimit(() => performance.now())
  const metrics = createMetrics({
    knows: (host) => engine.resolve.isListed(host),
    circuits: () => engine.circuits.states(),
  })
  metrics.configLoaded(true, generation)
  if (options.expires !== undefined) metrics.certificateLoaded(options.expires)
  const dependencies: AdmissionDependencies = {
    current: () => engine,
    facts: options.facts ?? noNamespaceLookup,
    now: () => performance.now(),
    onBug: (error, uid) => log.error({ err: error, uid }, 'a bug; the pod was admitted as it is'),
  }
  const app = await createApp({
    admit: createAdmit(dependencies),
    metrics,
    log: createAdmissionLog(admissions),
    tls: options.tls,
    clients: options.clients ?? null,
    load,
    draining: () => draining,
    onBug: (error) => log.error({ err: error }, 'a bug'),
  })
  const health = await createHealthApp({
    metrics,
    notReady: () => (draining ? 'stopping' : (options.notReady?.() ?? null)),
  })
  const port = await listen(app, options.host, options.port)
  let metricsPort: number
  try {
    metricsPort = await listen(health, options.host, options.metricsPort)
  } catch (error) {
    await app.close()
    throw error
  }
  return {
    port,
    metricsPort,
    use: (config) => {
      const old = engine
      engine = make(config)
      warm(config)
      generation += 1
      metrics.configLoaded(true, generation)
      setTimeout(() => void old.close(), oldEngineLifeMs).unref()
    },
    configFailed: () => metrics.configLoaded(false, generation),
    useCertificate: (pair, expires) => {
      const { server } = app
      // All of it again: a context that is replaced keeps nothing of the one before, the CA of callers included.
      if (server instanceof Server) server.setSecureContext(tlsOptions(pair, options.clients))
      metrics.certificateLoaded(expires)
    },
    certificateFailed: () => metrics.certificateFailed(),
    drain: async (minimumMs, forceStop) => {
      draining = true
      await drain({
        quietForMs: () => load.quietForMs(),
        minimumMs,
        ...(forceStop === undefined ? {} : { forceStop }),
      })
    },
    close: async () => {
      draining = true
      const timer = setTimeout(() => app.server.closeAllConnections(), lastAnswerMs)
      await app.close()
      clearTimeout(timer)
      await health.close()
      await engine.close()
    },
  }
}
