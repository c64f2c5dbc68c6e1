/** Runs the console: follows a cluster, and serves the page about it on this machine. */
import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import type { Config } from '../../config/config.ts'
import { imageTimeoutMs, parallelImages } from '../../engine/batch-decider.ts'
import { createHelperRunner } from '../../engine/credential-helper.ts'
import { createEngine } from '../../engine/decision-engine.ts'
import { openDiagnosisSources } from '../../engine/diagnosis-sources.ts'
import { openMirrorRegistries } from '../../engine/mirror-registries.ts'
import type { Cluster } from '../../kube/connect.ts'
import { proxyRulesFromEnvironment } from '../../proxy/proxy-rules.ts'
import { listen } from '../../telemetry/health-server.ts'
import { type LiveTimes, startLive } from '../live.ts'
import { createMirrorComparison } from '../mirror-comparison.ts'
import { createConsoleApp } from './app.ts'
import type { PageFiles } from './page-files.ts'

export interface ConsoleOptions {
  readonly cluster: Pick<Cluster, 'api' | 'context' | 'server'>
  readonly config: Config
  readonly configFile: string
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  /** The namespace that Berth runs in. */
  readonly berthNamespace: string
  /** 0 for a free port. */
  readonly port: number
  /** False to contact no registry. */
  readonly probe: boolean
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly version: string
  readonly page: PageFiles
  readonly onProblem: (message: string) => void
  readonly onBug: (error: unknown) => void
  readonly times?: Partial<LiveTimes>
}

export interface RunningConsole {
  /** With the token. */
  readonly url: string
  readonly port: number
  readonly token: string
  close(): Promise<void>
}

/** Only this machine reaches the server. */
const address = '127.0.0.1'

/** Starts the console. Throws `listen-failed`. */
export async function startConsole(options: ConsoleOptions): Promise<RunningConsole> {
  const { cluster, config, configFile, probe, secretsDirectory, env, onProblem } = options
  const stop = new AbortController()
  const token = randomBytes(24).toString('base64url')
  const engine = createEngine(config, {
    secretsDirectory,
    queryTimeoutMs: imageTimeoutMs / 2,
    env,
    runHelper: createHelperRunner(env),
    onProblem,
  })
  const { registries } = await openMirrorRegistries({
    config,
    names: [],
    secretsDirectory,
    createRepositories: false,
    env,
    onProblem,
  })
  const diagnosis = { config, probe, secretsDirectory, env, onProblem }
  const live = startLive({
    ...options,
    api: cluster.api,
    context: cluster.context,
    server: cluster.server,
    resolve: probe ? engine.resolve : null,
    openSources: probe ? () => openDiagnosisSources(cluster.api, diagnosis) : null,
    imageTimeoutMs,
    parallelImages,
    signal: stop.signal,
  })
  let hosts: ReadonlySet<string> = new Set()
  const app = createConsoleApp({
    live,
    config,
    directory: dirname(configFile),
    explain: {
      config,
      resolve: probe ? engine.resolve : null,
      timeoutMs: imageTimeoutMs,
      proxyRules: proxyRulesFromEnvironment(env),
      partNames: { namespace: 'a namespace', labels: 'labels', owners: 'an owner' },
    },
    compareMirrors: probe
      ? createMirrorComparison({ config, registries, jobs: parallelImages, signal: stop.signal })
      : null,
    page: options.page,
    guard: () => ({ token, hosts }),
    onBug: options.onBug,
  })
  const close = async () => {
    stop.abort()
    await app.close()
    await Promise.all([engine.close(), registries.close()])
  }
  try {
    const port = await listen(app, address, options.port)
    hosts = new Set([`${address}:${port}`, `localhost:${port}`])
    return { url: `http://${address}:${port}/#token=${token}`, port, token, close }
  } catch (error) {
    await close()
    throw error
  }
}
