/**
 * Serves the console in the controller: in every replica, with the watch of pods that the loops use. A failure of the console
 * is logged, and the controller works without it.
 */
import { randomBytes } from 'node:crypto'
import type { EcrTokenCache } from '../aws/ecr-token-cache.ts'
import type { Config } from '../config/config.ts'
import type { FollowPods } from '../console/cluster-watch.ts'
import { loadPageFiles } from '../console/server/page-files.ts'
import { clusterGuard } from '../console/server/request-guard.ts'
import { startConsole } from '../console/server/run-console.ts'
import { readLimitedFile } from '../files/read-limited.ts'
import type { Cluster } from '../kube/connect.ts'
import type { Logger } from '../telemetry/log.ts'
import type { PodWatch } from './runtime/pod-watch.ts'

export interface ConsoleSettings {
  readonly host: string
  readonly port: number
  /** Where people open the console; null if only through `kubectl port-forward`. */
  readonly url: URL | null
  /** The file with the token that each request for data needs; null if requests need none. */
  readonly tokenFile: string | null
  /** Whether to ask registries about the images of pods. */
  readonly probe: boolean
  /** The version of Berth. */
  readonly version: string
}

export interface ControllerConsoleDependencies {
  readonly cluster: Cluster
  readonly watch: PodWatch
  readonly config: Config
  readonly configFile: string
  /** Berth's own namespace. */
  readonly namespace: string
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly ecrTokens: EcrTokenCache
  readonly log: Logger
}

export interface ControllerConsole {
  /** Uses another config from now on. */
  use(config: Config): void
  /** Shows why a changed config file is not used. */
  reject(problem: string): void
  /** Never rejects. */
  close(): Promise<void>
}

/** Starts the console in the background. Never throws. */
export function runControllerConsole(
  settings: ConsoleSettings,
  dependencies: ControllerConsoleDependencies,
): ControllerConsole {
  const { log } = dependencies
  const stop = new AbortController()
  const onFailure = (message: string) => (error: unknown) => {
    log.error({ err: error }, message)
    return null
  }
  const starting = start(settings, dependencies, stop.signal).catch(
    onFailure('console not started'),
  )
  return {
    use: (config) => void starting.then((running) => running?.use(config)),
    reject: (problem) => void starting.then((running) => running?.reject(problem)),
    async close() {
      stop.abort()
      const running = await starting
      await running?.close().catch(onFailure('console not closed'))
    },
  }
}

async function start(
  { host, port, url, tokenFile, probe, version }: ConsoleSettings,
  dependencies: ControllerConsoleDependencies,
  signal: AbortSignal,
): ReturnType<typeof startConsole> {
  const { cluster, config, configFile, namespace, watch, log } = dependencies
  const { secretsDirectory, env, ecrTokens } = dependencies
  const onBug = (error: unknown) => log.error({ err: error }, 'bug in the console')
  const logged = new Set<string>()
  const running = await startConsole({
    cluster: {
      // The loops use the same connections, and decide when to replace them.
      api: { ...cluster.api, reconnect: () => undefined },
      context: cluster.context,
      server: cluster.server,
    },
    config,
    configFile,
    namespace: undefined,
    berthNamespace: namespace,
    host,
    port,
    guardFor: () => clusterGuard(url, tokenReader(tokenFile, log)),
    isShared: true,
    probe,
    secretsDirectory,
    env,
    version,
    page: await loadPageFiles(),
    onProblem: (problem) => {
      if (logged.has(problem) || logged.size >= maxLoggedProblems) return
      logged.add(problem)
      log.warn({ problem }, 'credentials unusable')
    },
    onBug,
    followPods: followPodsWith(watch, { log, onBug, signal }),
    ecrTokens,
  })
  log.info({ host, port: running.port }, 'console listening')
  return running
}

/** Different messages about credentials that are logged. A config has fewer credentials. */
const maxLoggedProblems = 100

/** Follows the pods with the watch of the loops. A bug of the console does not reach the watch. */
function followPodsWith(
  watch: PodWatch,
  {
    log,
    onBug,
    signal: stopped,
  }: {
    readonly log: Logger
    readonly onBug: (error: unknown) => void
    readonly signal: AbortSignal
  },
): FollowPods {
  return ({ transform, onChange, onError, signal }) =>
    watch.follow({
      loop: 'console',
      transform: (pod) => {
        try {
          return transform(pod)
        } catch (error) {
          onBug(error)
          return null
        }
      },
      onChange,
      onError,
      log,
      missingRightFix: 'add the component console (Helm: controller.console.enabled=true)',
      signal: AbortSignal.any([signal, stopped]),
    })
}

/** Characters of a token. */
const maxToken = 4_096

/**
 * Returns a function that reads the token for each request, because the kubelet replaces the file. If there is no token in
 * the file, no request has the right one.
 */
function tokenReader(file: string | null, log: Logger): () => string | null {
  if (file === null) return () => null
  let hasFailed = false
  return () => {
    try {
      const token = readLimitedFile(file, maxToken).toString('utf8').trim()
      if (token === '') throw new Error(`${file} is empty`)
      hasFailed = false
      return token
    } catch (error) {
      if (!hasFailed) log.error({ problem: String(error) }, 'console token not readable')
      hasFailed = true
      return randomBytes(32).toString('hex')
    }
  }
}
