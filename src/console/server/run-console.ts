/** Runs the console: follows a cluster, and serves the page about it. */
import { dirname } from 'node:path'
import type { EcrTokenCache } from '../../aws/ecr-token-cache.ts'
import type { Config } from '../../config/config.ts'
import { imageTimeoutMs, parallelImages } from '../../engine/batch-limits.ts'
import type { Cluster } from '../../kube/connect.ts'
import { listen } from '../../telemetry/health-server.ts'
import { type FollowPods, followPodsOf } from '../cluster-watch.ts'
import type { ConsoleLimits } from '../limits.ts'
import { type LiveTimes, startLive } from '../live.ts'
import { createConsoleApp } from './app.ts'
import type { PageFiles } from './page-files.ts'
import type { GuardOptions } from './request-guard.ts'
import { openSession } from './session.ts'

export interface ConsoleOptions {
  readonly cluster: Pick<Cluster, 'api' | 'context' | 'server'>
  /** The config to start with. */
  readonly config: Config
  readonly configFile: string
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  /** The namespace that Berth runs in. */
  readonly berthNamespace: string
  /** The address to listen on. */
  readonly host: string
  /** 0 for a free port. */
  readonly port: number
  /** Returns which requests are answered, once the port is known. */
  readonly guardFor: (port: number) => GuardOptions
  /** True in the cluster: people use it with the rights of the controller, and not with their own. */
  readonly isShared: boolean
  /** False to contact no registry. */
  readonly probe: boolean
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly version: string
  readonly page: PageFiles
  readonly onProblem: (message: string) => void
  /** Called with the reason when the API server stops answering, and with null when it answers again. */
  readonly onAway?: (reason: string | null) => void
  readonly onBug: (error: unknown) => void
  /** Default: a separate watch. */
  readonly followPods?: FollowPods
  readonly limits?: ConsoleLimits
  /** Default: the console fetches its own tokens. */
  readonly ecrTokens?: EcrTokenCache
  readonly times?: Partial<LiveTimes>
}

export interface RunningConsole {
  readonly port: number
  /** Uses another config from now on. Never rejects: the page shows a failure. */
  use(config: Config): Promise<void>
  /** Shows why a changed config file is not used. */
  reject(problem: string): void
  close(): Promise<void>
}

/** Images that the console in the cluster checks at the same time: the controller and its registries have other work. */
const parallelImagesShared = 2

/** Starts the console. Throws `listen-failed`. */
export async function startConsole(options: ConsoleOptions): Promise<RunningConsole> {
  const { cluster, configFile, namespace, isShared } = options
  const { api, context, server } = cluster
  const stop = new AbortController()
  const sessionOptions = { ...options, api, ecrTokens: options.ecrTokens ?? null }
  let session = await openSession(options.config, sessionOptions)
  const live = startLive({
    ...options,
    api,
    context,
    server,
    followPods: options.followPods ?? followPodsOf(api, namespace),
    inUse: session.inUse,
    imageTimeoutMs,
    parallelImages: isShared ? parallelImagesShared : parallelImages,
    signal: stop.signal,
  })
  let guard: GuardOptions | null = null
  const app = createConsoleApp({
    live,
    session: () => session,
    isShared,
    directory: dirname(configFile),
    page: options.page,
    guard: () => guard,
    onBug: options.onBug,
  })
  async function use(config: Config): Promise<void> {
    if (stop.signal.aborted) return
    try {
      const before = session
      session = await openSession(config, sessionOptions)
      live.use(session.inUse)
      live.setConfigProblem(null)
      await before.close()
    } catch (error) {
      live.setConfigProblem(error instanceof Error ? error.message : String(error))
    }
  }
  // One after the other, so that the last one wins.
  let using = Promise.resolve()
  const close = async () => {
    stop.abort()
    await Promise.all([app.close(), using])
    await session.close()
  }
  try {
    const port = await listen(app, options.host, options.port)
    guard = options.guardFor(port)
    return {
      port,
      use: (config) => (using = using.then(() => use(config))),
      reject: (problem) => live.setConfigProblem(problem),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
