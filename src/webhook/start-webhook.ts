/** Starts and stops the webhook process: what `berth serve` and `berth dev` have in common. */
import type { FastifyInstance } from 'fastify'
import { createLane } from '../async/lane.ts'
import type { SiblingDigests } from '../decision/pod/decide-by-revision.ts'
import type { Config } from '../config/config.ts'
import { createHealthApp, listen } from '../telemetry/health-server.ts'
import type { Logs } from '../telemetry/log.ts'
import { createWebhookMetrics } from '../telemetry/webhook-metrics.ts'
import { createAdmissionLog } from './admission/admission-log.ts'
import { createAdmit } from './admission/admit.ts'
import { type ConflictOwners, noConflictOwners } from './admission/conflict-owners.ts'
import { noNamespaceLookup, type NamespaceLookup } from './admission/namespace-lookup.ts'
import type { KeyPair } from './certificate/certificate-files.ts'
import { createCurrentEngine, type CurrentEngineOptions } from './current-engine.ts'
import { type App, createApp, tlsOptions } from './server/app.ts'
import type { ClientAuthentication } from './server/client-auth.ts'
import { createConcurrencyLimit } from './server/concurrency-limit.ts'
import { drain } from './server/drain.ts'

export interface WebhookOptions extends Pick<CurrentEngineOptions, 'createSecretProvisioner'> {
  readonly config: Config
  readonly tls: KeyPair
  /** When the certificate expires, for the metric. */
  readonly expires?: Date
  /** Null: callers need no client certificate. */
  readonly clients?: ClientAuthentication | null
  readonly host: string
  readonly port: number
  readonly metricsPort: number
  readonly secretsDirectory: string
  readonly namespaceLookup?: NamespaceLookup
  /** Left out: pods of one revision can get different digests. */
  readonly siblings?: SiblingDigests
  readonly conflictOwners?: ConflictOwners
  /** Null when the API server may call, else why not. */
  readonly notReady?: () => string | null
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly logs: Logs
}

export interface Webhook {
  readonly port: number
  readonly metricsPort: number
  /** Puts another config in force, for every review that starts from now on. */
  useConfig(config: Config): void
  /** Counts a config that has errors; the one in force stays. */
  configRejected(): void
  /** Serves new connections with another certificate; open connections keep the old one. */
  useCertificate(pair: KeyPair, expires: Date): void
  /** Counts a certificate that is invalid; the one in use stays. */
  certificateRejected(): void
  /** Reports not ready, and goes on answering for at least `minimumMs` and until no requests arrive. */
  drain(minimumMs: number, forceStop?: AbortSignal): Promise<void>
  /** Answers the requests that have arrived, then stops. */
  close(): Promise<void>
}

/** Longer than any answer takes: connections that are still open then have sent no request. */
const closeConnectionsAfterMs = 3_000

/** Listens on both ports. Throws `listen-failed`. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const { secretsDirectory, env = {}, createSecretProvisioner, clients = null } = options
  // The functions below use these and not `options`, which would keep the first config in memory after a reload.
  const { notReady = () => null, siblings, conflictOwners = noConflictOwners, logs } = options
  conflictOwners.follow(options.config.conflicts === 'leave')
  const { log, admissions, droppedLines } = logs
  const engine = createCurrentEngine(options.config, {
    secretsDirectory,
    env,
    createSecretProvisioner,
    onProblem: (problem) => log.warn({ problem }, 'credentials unusable'),
    onAnswered: (host, seconds) => metrics.registryAnswered(host, seconds),
  })
  const metrics = createWebhookMetrics({
    isListed: (host) => engine.get().resolve.isListed(host),
    circuits: () => engine.get().circuits.states(),
    droppedLogLines: droppedLines,
  })
  let generation = 1
  metrics.configLoaded(true, generation)
  if (options.expires !== undefined) metrics.certificateLoaded(options.expires)
  const limit = createConcurrencyLimit(() => performance.now())
  let isDraining = false
  const lane = createLane()
  const app = await createApp({
    lane,
    admit: createAdmit({
      currentEngine: () => engine.get(),
      namespaceLookup: options.namespaceLookup ?? noNamespaceLookup,
      revisions: siblings && { siblings, onLookup: (result) => metrics.revisionLookedUp(result) },
      conflictOwners,
      lane,
      onBug: (error, uid) => log.error({ err: error, uid }, 'admission failed'),
    }),
    metrics,
    log: createAdmissionLog(admissions),
    tls: options.tls,
    clients,
    limit,
    isDraining: () => isDraining,
    deniesUnread: () => engine.get().policy.mode === 'enforce' && engine.get().hasDenial,
    onBug: (error) => log.error({ err: error }, 'request failed'),
  })
  const health = await createHealthApp({
    metrics,
    notReady: () => (isDraining ? 'draining' : notReady()),
  })
  return {
    ...(await listenOnBoth(app, health, options)),
    useConfig: (config) => {
      engine.replace(config)
      conflictOwners.follow(config.conflicts === 'leave')
      generation += 1
      metrics.configLoaded(true, generation)
    },
    configRejected: () => metrics.configLoaded(false, generation),
    useCertificate: (pair, expires) => {
      // All TLS options: a context that is replaced keeps none of the previous ones, not even the CA of callers.
      app.server.setSecureContext(tlsOptions(pair, clients))
      metrics.certificateLoaded(expires)
    },
    certificateRejected: () => metrics.certificateRejected(),
    drain: async (minimumMs, forceStop = new AbortController().signal) => {
      isDraining = true
      await drain({ quietForMs: () => limit.quietForMs(), minimumMs, forceStop })
    },
    close: async () => {
      isDraining = true
      conflictOwners.follow(false)
      const timer = setTimeout(() => app.server.closeAllConnections(), closeConnectionsAfterMs)
      await app.close()
      clearTimeout(timer)
      await health.close()
      await engine.close()
    },
  }
}

async function listenOnBoth(
  app: App,
  health: FastifyInstance,
  options: Pick<WebhookOptions, 'host' | 'port' | 'metricsPort'>,
): Promise<Pick<Webhook, 'port' | 'metricsPort'>> {
  const port = await listen(app, options.host, options.port)
  try {
    return { port, metricsPort: await listen(health, options.host, options.metricsPort) }
  } catch (error) {
    await app.close()
    throw error
  }
}
