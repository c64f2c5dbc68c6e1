/** Runs the controller process: health port, leader election, and the loops of the config in force. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Config } from '../config/config.ts'
import { loadFirstConfig } from '../config/load-first.ts'
import { formatProblem } from '../config/problem.ts'
import { watchConfig } from '../config/watch.ts'
import { createTokenCache } from '../engine/decision-engine.ts'
import type { Cluster } from '../kube/connect.ts'
import { hasStatus } from '../kube/error.ts'
import { recordWarning } from '../kube/event-recorder.ts'
import { createRefusals } from '../kube/refusals.ts'
import { createControllerMetrics } from '../telemetry/controller-metrics.ts'
import { createEcrMetrics } from '../telemetry/ecr-metrics.ts'
import { createHealthApp, listen } from '../telemetry/health-server.ts'
import type { Logs } from '../telemetry/log.ts'
import { createAvailabilityMemory } from './availability-memory.ts'
import { createRestartMemory } from './restart-memory.ts'
import type { ConsoleSettings, ControllerConsole } from './controller-console.ts'
import { createLoops, type LoopDependencies } from './create-loops.ts'
import type { PullSecretsTimes } from './pull-secrets-loop.ts'
import { type LeaderElectionTimes, runLeaderElection } from './runtime/leader-election.ts'
import { runLoops } from './runtime/loops.ts'
import { createPodWatch } from './runtime/pod-watch.ts'

export interface ControllerOptions {
  readonly cluster: Cluster
  /** Reloaded when it changes. */
  readonly configFile: string
  /** Berth's own namespace, where the Lease is. */
  readonly namespace: string
  readonly lease: string
  readonly host: string
  readonly metricsPort: number
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logs: Logs
  /** Null without the console. */
  readonly console?: ConsoleSettings | null
  readonly times?: ControllerTimes
  readonly signal: AbortSignal
}

/** Times that tests shorten. */
export interface ControllerTimes {
  readonly lease?: LeaderElectionTimes
  /** Milliseconds between two polls of the config file. */
  readonly configMs?: number
  readonly pullSecrets?: PullSecretsTimes
}

/**
 * Runs until the signal aborts, then releases the Lease. Throws `config-unreadable`, `config-invalid` and `listen-failed`.
 */
export async function runController(options: ControllerOptions): Promise<void> {
  const { cluster, namespace, lease, secretsDirectory, env, logs, times = {}, signal } = options
  const { log } = logs
  let config = await readConfig(options)
  const metrics = createControllerMetrics({ droppedLogLines: logs.droppedLines })
  const refusalsOf = createRefusals()
  const loopDependencies: Omit<LoopDependencies, 'config'> = {
    cluster,
    watch: createPodWatch(cluster.api, refusalsOf),
    namespace,
    secretsDirectory,
    env,
    log,
    metrics,
    pullSecretsTimes: times.pullSecrets,
    ecrTokens: createTokenCache({ secretsDirectory, env }),
    ecrMetrics: createEcrMetrics(metrics.registry),
    availability: createAvailabilityMemory(),
    restarts: createRestartMemory(),
    refusalsOf,
  }
  metrics.leads(false)
  metrics.configLoaded(true)
  const health = await createHealthApp({ metrics, notReady: () => null })
  const metricsPort = await listen(health, options.host, options.metricsPort)
  const console = await startConsole(options, { ...loopDependencies, config })
  let reload = new AbortController()
  const configWatch = watchConfig(options.configFile, {
    current: config,
    onConfig: (changed) => {
      config = changed
      metrics.configLoaded(true)
      log.info({ rows: changed.table.rows.length }, 'config reloaded')
      console?.use(changed)
      reload.abort()
    },
    onError: (error) => {
      metrics.configLoaded(false)
      console?.reject(error instanceof Error ? error.message : String(error))
      reportConfigError(error, options)
    },
    intervalMs: times.configMs,
  })
  log.info({ namespace, lease, metricsPort }, 'waiting for leadership')
  await runLeaderElection(cluster.api, {
    namespace,
    name: lease,
    identity: `${hostname()}_${randomUUID()}`,
    signal,
    times: times.lease,
    onChange: (isLeader) => {
      metrics.leads(isLeader)
      log.info(isLeader ? 'became leader' : 'lost leadership')
    },
    onError: createLeaseErrorLog(options),
    lead: async (leading) => {
      while (!leading.aborted) {
        reload = new AbortController()
        const until = AbortSignal.any([leading, reload.signal])
        const loops = createLoops({ ...loopDependencies, config })
        log.info({ loops: loops.map(({ name }) => name) }, 'loops started')
        await runLoops(loops, { log, loopFailed: metrics.loopFailed }, until)
      }
    },
  })
  configWatch.stop()
  await console?.close()
  await health.close()
  await cluster.close()
  log.info('stopped')
}

async function readConfig({ configFile, logs: { log } }: ControllerOptions): Promise<Config> {
  const config = await loadFirstConfig(configFile)
  for (const warning of config.warnings) log.warn(formatProblem(configFile, warning))
  return config
}

/** Imports the console only if it is wanted, to save memory. */
async function startConsole(
  { console: settings = null, configFile }: ControllerOptions,
  dependencies: LoopDependencies,
): Promise<ControllerConsole | null> {
  if (settings === null) return null
  const { runControllerConsole } = await import('./controller-console.ts')
  return runControllerConsole(settings, { ...dependencies, configFile })
}

/** Returns a function that logs each problem when it begins. */
function createLeaseErrorLog({
  namespace,
  lease,
  logs: { log },
}: ControllerOptions): (error: unknown) => void {
  let last = ''
  return (error) => {
    const problem = String(error)
    const level = problem === last ? 'debug' : 'warn'
    last = problem
    if (!hasStatus(error, 403)) {
      log[level]({ problem }, 'lease not renewed')
      return
    }
    const fix = `grant create on leases, and get and update on the Lease ${lease}, in namespace ${namespace}`
    log[level]({ problem, fix }, 'right missing')
  }
}

function reportConfigError(
  error: unknown,
  { cluster, namespace, env, logs: { log } }: ControllerOptions,
): void {
  const problem = error instanceof Error ? error.message : String(error)
  log.error({ problem }, 'config rejected')
  // In a pod only: its name is the host's name there.
  if (env['KUBERNETES_SERVICE_HOST'] === undefined) return
  void recordWarning(
    cluster.api,
    { apiVersion: 'v1', kind: 'Pod', namespace, name: hostname() },
    { reason: 'ConfigNotInForce', message: problem, ending: 'the previous config stays in force' },
    { now: new Date(), log },
  )
}
