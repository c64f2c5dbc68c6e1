/** `berth controller`: the loops that keep a cluster in order, in one replica at a time. Only wires things together. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { formatProblem } from '../../config/problem.ts'
import { watchConfig } from '../../config/watch.ts'
import { ecrTokensLoop } from '../../controller/ecr-tokens-loop.ts'
import { type Loop, runLoops } from '../../controller/runtime/loops.ts'
import type { EcrTokens } from '../../aws/ecr-token-store.ts'
import { createPullSecretsLoop } from '../../controller/pull-secrets-loop.ts'
import { type Cluster, connect } from '../../kube/connect.ts'
import { recordWarning } from '../../kube/event-recorder.ts'
import { runLeaderElection } from '../../controller/runtime/leader-election.ts'
import { createHealthApp } from '../../telemetry/health-server.ts'
import {
  type ControllerMetrics,
  createControllerMetrics,
} from '../../telemetry/controller-metrics.ts'
import { createEcrMetrics, type EcrMetrics } from '../../telemetry/ecr-metrics.ts'
import { createLogs, type Logger } from '../../telemetry/log.ts'
import { createPropagationMetrics } from '../../telemetry/propagation-metrics.ts'
import { configFile, oneOf, port, readOptions, text } from '../options.ts'
import { mirrorLoops } from '../../controller/start-mirror-loop.ts'
import { pullFailureLoops } from '../../controller/start-pull-failures-loop.ts'
import { createTokenStore, defaultSecretsDirectory } from '../../engine/decision-engine.ts'
import type { Command, Io } from '../io.ts'
import { stopped } from './serve.ts'
import { listen } from '../../webhook/start-webhook.ts'

export const usage =
  'berth controller [--config FILE] [--kubeconfig FILE] [--context NAME] [-n NAMESPACE] [--lease NAME] [--host ADDRESS] [--metrics-port N] [--secrets-dir DIR] [--log-level LEVEL]'

/** Everything that a loop may be made of. */
export interface ControllerParts {
  readonly cluster: Cluster
  readonly config: Config
  /** Berth's own namespace. */
  readonly namespace: string
  readonly secretsDirectory: string
  readonly env: Io['env']
  readonly log: Logger
  readonly metrics: ControllerMetrics
  /** Outlives a config, as do its figures. */
  readonly ecrTokens: EcrTokens
  readonly ecrMetrics: EcrMetrics
}

/** Runs until it is asked to stop; exits with 0. */
export const controller: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      config: { type: 'string' },
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      lease: { type: 'string' },
      host: { type: 'string' },
      'metrics-port': { type: 'string' },
      'secrets-dir': { type: 'string' },
      'log-level': { type: 'string' },
    },
    usage,
  )
  const { log } = createLogs(
    oneOf(values, 'log-level', ['info', 'debug', 'warn', 'error']),
    io.stderr,
  )
  const file = configFile(values)
  let config = loadConfig(file)
  for (const warning of config.warnings) log.warn(formatProblem(file, warning))
  const { signal } = io
  const cluster = await connect({
    kubeconfig: text(values, 'kubeconfig'),
    context: text(values, 'context'),
    env: io.env,
  })
  const namespace = text(values, 'namespace') ?? cluster.namespace
  const metrics = createControllerMetrics()
  const secretsDirectory = text(values, 'secrets-dir') ?? defaultSecretsDirectory
  const ecrTokens = createTokenStore({ secretsDirectory, env: io.env })
  const ecrMetrics = createEcrMetrics(metrics.registry)
  metrics.leads(false)
  metrics.configLoaded(true)
  const health = await createHealthApp({ metrics, notReady: () => null })
  const host = text(values, 'host') ?? '0.0.0.0'
  const metricsPort = await listen(health, host, port(values, 'metrics-port', 8080))
  let reloaded = new AbortController()
  const configWatch = watchConfig(file, {
    inForce: config,
    onConfig: (changed) => {
      config = changed
      metrics.configLoaded(true)
      log.info({ rows: changed.table.rows.length }, 'config reloaded')
      reloaded.abort()
    },
    onError: (error) => {
      metrics.configLoaded(false)
      const problem = error instanceof Error ? error.message : String(error)
      log.error({ problem }, 'config not reloaded; the one before it stays in force')
      // In a pod, whose name is the host's.
      if (io.env['KUBERNETES_SERVICE_HOST'] === undefined) return
      void recordWarning(
        cluster.api,
        { apiVersion: 'v1', kind: 'Pod', namespace, name: hostname() },
        {
          reason: 'ConfigNotInForce',
          message: problem,
          ending: 'the config before it stays in force',
        },
        { now: new Date(), log },
      )
    },
  })
  const lease = text(values, 'lease') ?? 'berth-controller'
  log.info({ namespace, lease, metricsPort }, 'waiting for its turn')
  await runLeaderElection(cluster.api, {
    namespace,
    name: lease,
    identity: `${hostname()}_${randomUUID()}`,
    signal,
    onChange: (leads) => {
      metrics.leads(leads)
      log.info(leads ? 'leads' : 'leads no longer')
    },
    onTrouble: (error) => log.warn({ problem: String(error) }, 'the lease'),
    lead: async (turn) => {
      while (!turn.aborted) {
        reloaded = new AbortController()
        const parts = {
          cluster,
          config,
          namespace,
          secretsDirectory,
          env: io.env,
          log,
          metrics,
          ecrTokens,
          ecrMetrics,
        }
        await untilReloaded(makeLoops(parts), parts, { turn, reloaded: reloaded.signal })
      }
    },
  })
  configWatch.stop()
  await health.close()
  await cluster.close()
  log.info('stopped')
  return 0
}

/** The loops that the config asks for. */
function makeLoops(parts: ControllerParts): readonly Loop[] {
  return [
    ...ecrLoops(parts),
    ...pullSecretLoops(parts),
    ...mirrorLoops(parts),
    ...pullFailureLoops(parts),
  ]
}

function ecrLoops(parts: ControllerParts): readonly Loop[] {
  const { cluster, config, namespace, log, ecrTokens, ecrMetrics } = parts
  if (config.ecrTokens.length === 0) return []
  const { api } = cluster
  const now = () => Date.now()
  const dependencies = { api, tokens: ecrTokens, namespace, now, log, metrics: ecrMetrics }
  return [ecrTokensLoop(dependencies, config.ecrTokens)]
}

function pullSecretLoops({ cluster, config, log, metrics }: ControllerParts): readonly Loop[] {
  const { pullSecretCopies: settings } = config
  if (settings.copies.length === 0) return []
  const propagation = createPropagationMetrics(metrics.registry)
  return [createPullSecretsLoop({ api: cluster.api, settings, log, metrics: propagation })]
}

/** Runs the loops of one config, until another one or the end of the turn. */
async function untilReloaded(
  loops: readonly Loop[],
  { log, metrics }: ControllerParts,
  { turn, reloaded }: { readonly turn: AbortSignal; readonly reloaded: AbortSignal },
): Promise<void> {
  const stop = new AbortController()
  const end = () => stop.abort()
  for (const signal of [turn, reloaded]) signal.addEventListener('abort', end, { once: true })
  log.info({ loops: loops.map(({ name }) => name) }, 'loops')
  const reports = { log, loopFailed: metrics.loopFailed }
  await Promise.all([stopped(stop.signal), runLoops(loops, reports, stop.signal)])
  turn.removeEventListener('abort', end)
}
