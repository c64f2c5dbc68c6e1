/** Creates the controller's loops that a config asks for. */
import { createByteBudget } from '../async/byte-budget.ts'
import type { EcrTokenCache } from '../aws/ecr-token-cache.ts'
import type { Config } from '../config/config.ts'
import { createDiagnoser } from '../diagnose/evidence/diagnose-cluster.ts'
import { ecrRepositoryCreator } from '../engine/ecr-repositories.ts'
import { createClientCertificate } from '../engine/client-certificate.ts'
import { imageTimeoutMs } from '../engine/batch-limits.ts'
import { createEngine, type Engine, type EngineOptions } from '../engine/decision-engine.ts'
import { createKeychain } from '../engine/keychain.ts'
import type { Cluster } from '../kube/connect.ts'
import type { Refusals } from '../kube/refusals.ts'
import { proxyRulesFromEnvironment } from '../proxy/proxy-rules.ts'
import { createConnections } from '../registry/connections.ts'
import { bodyBudgetBytes } from '../registry/http/response-body.ts'
import { systemClock } from '../registry/http/retry-policy.ts'
import { createRegistryClient } from '../registry/registry-client.ts'
import type { ControllerMetrics } from '../telemetry/controller-metrics.ts'
import type { EcrMetrics } from '../telemetry/ecr-metrics.ts'
import type { Logger } from '../telemetry/log.ts'
import { createPullSecretMetrics } from '../telemetry/pull-secret-metrics.ts'
import { createAvailabilityLoop } from './availability-loop.ts'
import type { AvailabilityMemory } from './availability-memory.ts'
import { createEcrTokensLoop } from './ecr-tokens-loop.ts'
import { createConflictOwnerList } from './conflict-owner-list.ts'
import { createConflictsLoop } from './image-conflicts-loop.ts'
import { createMirrorLoop } from './mirror-loop.ts'
import { createPullFailuresLoop } from './pull-failures-loop.ts'
import { createPullSecretsLoop, type PullSecretsTimes } from './pull-secrets-loop.ts'
import { findingsFor, type ImageFindings } from './image-findings.ts'
import { createReportsLoop } from './reports-loop.ts'
import type { RestartMemory } from './restart-memory.ts'
import { createStuckPodsLoop } from './stuck-pods-loop.ts'
import { createUnprocessedPodsLoop } from './unprocessed-pods-loop.ts'
import type { Loop } from './runtime/loops.ts'
import type { PodWatch } from './runtime/pod-watch.ts'

export interface LoopDependencies {
  readonly cluster: Cluster
  readonly config: Config
  /** Outlives a config, because the console follows pods with it too. */
  readonly watch: PodWatch
  /** Berth's own namespace. */
  readonly namespace: string
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Logger
  readonly metrics: ControllerMetrics
  /** Outlives a config, so that a reload fetches no token again. */
  readonly ecrTokens: EcrTokenCache
  readonly ecrMetrics: EcrMetrics
  /** What is known about images that pods run. Outlives a config, so that a reload does not repeat the checks. */
  readonly availability: AvailabilityMemory
  /** What is known about owners that are restarted. Outlives a config, so that a reload evicts no pod again. */
  readonly restarts: RestartMemory
  /** What the API server refused to each loop. Outlives a config, so that a reload does not retry at once. */
  readonly refusalsOf: (loop: string) => Refusals
  readonly pullSecretsTimes?: PullSecretsTimes | undefined
}

interface PodLoopDependencies extends LoopDependencies {
  /** Null without a loop that reads them. */
  readonly findings: ImageFindings | null
}

/** Returns one loop for each feature that the config enables. */
export function createLoops(options: LoopDependencies): readonly Loop[] {
  const dependencies = { ...options, findings: findingsFor(options.config) }
  return [
    createEcrTokensLoops(dependencies),
    createPullSecretsLoops(dependencies),
    createMirrorLoops(dependencies),
    createPullFailuresLoops(dependencies),
    createConflictsLoops(dependencies),
    createStuckPodsLoops(dependencies),
    createUnprocessedPodsLoops(dependencies),
    createAvailabilityLoops(dependencies),
    createReportsLoops(dependencies),
  ].flat()
}

function createReportsLoops({
  cluster: { api },
  watch,
  findings,
  config: { pin },
  log,
  refusalsOf,
}: PodLoopDependencies): readonly Loop[] {
  if (findings === null) return []
  const isPinned = (tag: string) => pin.matches?.(tag)
  const refusals = refusalsOf('reports')
  return [createReportsLoop({ api, watch, findings, isPinned, refusals, log })]
}

/** Longer than in the webhook, because no API server waits for these loops. */
const queryTimeoutMs = imageTimeoutMs / 2

const logProblem = (log: Logger) => (problem: string) =>
  log.warn({ problem }, 'credentials unusable')

function createEcrTokensLoops({
  cluster: { api },
  config,
  namespace,
  log,
  ecrTokens: tokens,
  ecrMetrics: metrics,
}: LoopDependencies): readonly Loop[] {
  if (config.ecrTokens.length === 0) return []
  const now = () => Date.now()
  return [createEcrTokensLoop({ api, tokens, namespace, now, log, metrics }, config.ecrTokens)]
}

function createPullSecretsLoops({
  cluster: { api },
  config: { pullSecretCopies: settings },
  log,
  metrics: { registry },
  refusalsOf,
  pullSecretsTimes: times,
}: LoopDependencies): readonly Loop[] {
  if (settings.copies.length === 0) return []
  const metrics = createPullSecretMetrics(registry)
  return [
    createPullSecretsLoop({
      api,
      settings,
      refusals: refusalsOf('pull-secrets'),
      log,
      metrics,
      times,
    }),
  ]
}

function createMirrorLoops({
  cluster: { api },
  config: { mirror: settings, registries, table },
  secretsDirectory,
  ecrTokens,
  env,
  log,
  metrics,
  refusalsOf,
}: LoopDependencies): readonly Loop[] {
  if (!settings.running) return []
  const onProblem = logProblem(log)
  const openRegistries = () =>
    createRegistryClient(
      createConnections({
        registries,
        keychainFor: ({ credentials }) =>
          createKeychain(credentials, { secretsDirectory, ecrTokens, onProblem }),
        now: () => Date.now(),
        clientCertificateFor: ({ clientCertificate }) =>
          createClientCertificate(clientCertificate, { secretsDirectory, onProblem }),
        proxyRules: proxyRulesFromEnvironment(env),
        bodyBudget: createByteBudget(bodyBudgetBytes.controller),
      }),
      systemClock,
    )
  const createRepository = settings.createRepositories
    ? ecrRepositoryCreator({ settings: registries, secretsDirectory, env })
    : null
  return [
    createMirrorLoop({
      api,
      table,
      settings,
      openRegistries,
      createRepository,
      refusals: refusalsOf('mirror'),
      log,
      metrics: metrics.mirror,
    }),
  ]
}

function createPullFailuresLoops({
  cluster: { api },
  watch,
  config: { pullFailures, registries: hosts },
  findings,
  log,
  metrics,
}: PodLoopDependencies): readonly Loop[] {
  if (!pullFailures.report) return []
  return [
    createPullFailuresLoop({
      api,
      watch,
      createDiagnoser: () => createDiagnoser(api, pullFailures.readSecrets),
      hosts,
      metrics: metrics.pullFailures,
      findings,
      log,
    }),
  ]
}

function createConflictsLoops({
  cluster: { api },
  watch,
  config: { conflicts: action },
  namespace,
  log,
  metrics: { conflicts: metrics },
  refusalsOf,
}: PodLoopDependencies): readonly Loop[] {
  if (action === 'ignore') return []
  const refusals = refusalsOf('image-conflicts')
  const now = () => Date.now()
  const list =
    action === 'leave'
      ? createConflictOwnerList({ api, namespace, metrics, log, refusals, now })
      : null
  return [createConflictsLoop({ api, watch, list, metrics, log })]
}

function createStuckPodsLoops(dependencies: PodLoopDependencies): readonly Loop[] {
  const { cluster, watch, config, log, metrics } = dependencies
  const { stuckPods: action } = config
  if (action === null) return []
  const openEngine = engineOpener(dependencies)
  const { api } = cluster
  return [createStuckPodsLoop({ api, watch, action, openEngine, log, metrics: metrics.stuckPods })]
}

function createUnprocessedPodsLoops(dependencies: PodLoopDependencies): readonly Loop[] {
  const { cluster, watch, config, namespace, log, findings } = dependencies
  const { unprocessed: action, mode, table } = config
  if (action === null || mode === 'observe') return []
  return [
    createUnprocessedPodsLoop({
      api: cluster.api,
      watch,
      action,
      table,
      namespace,
      openEngine: engineOpener(dependencies, { queryTimeoutMs }),
      memory: dependencies.restarts,
      metrics: dependencies.metrics.unprocessedPods,
      findings,
      log,
    }),
  ]
}

function createAvailabilityLoops(dependencies: PodLoopDependencies): readonly Loop[] {
  const { cluster, watch, config, availability: memory, log, findings } = dependencies
  const { availability: settings } = config
  if (settings === null) {
    memory.clear()
    return []
  }
  return [
    createAvailabilityLoop({
      api: cluster.api,
      watch,
      memory,
      settings,
      isPlainHttp: config.table.isPlainHttp,
      openEngine: engineOpener(dependencies, { queryTimeoutMs }),
      log,
      metrics: dependencies.metrics.availability,
      findings,
    }),
  ]
}

/** Returns a function that opens an engine with the credentials of the controller. */
function engineOpener(
  { config, secretsDirectory, ecrTokens, env, log }: LoopDependencies,
  options: Pick<EngineOptions, 'queryTimeoutMs'> = {},
): () => Engine {
  const onProblem = logProblem(log)
  return () => createEngine(config, { ...options, secretsDirectory, ecrTokens, env, onProblem })
}
