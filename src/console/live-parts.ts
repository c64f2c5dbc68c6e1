/** The parts that watch the cluster and its registries. A new config replaces those that depend on it. */
import { linkAbort } from '../async/abort.ts'
import type { Config } from '../config/config.ts'
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { type AtRiskMemory, createAtRiskMemory } from './at-risk.ts'
import { type ClusterWatch, type FollowPods, watchCluster } from './cluster-watch.ts'
import { createImageChecks, type ImageChecks } from './image-checks.ts'
import { createImageLister } from './image-list.ts'
import { type ConsoleLimits, limitsOfHeap } from './limits.ts'
import { createPages, type Pages } from './pages.ts'
import { createPullFindings, type OpenSources, type PullFindings } from './pull-findings.ts'
import { createHealthMemory, type HealthMemory } from './registry-health.ts'

export interface PartsOptions {
  readonly api: KubeApi
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  readonly followPods: FollowPods
  /** Default: those that fit into the memory of the process. */
  readonly limits?: ConsoleLimits
  /** True in the cluster, where people have other rights than the console. It then reads only pods, namespaces and the webhook configuration. */
  readonly isShared: boolean
  /** The first config in use. */
  readonly inUse: ConfigInUse
  /** Milliseconds for one image. */
  readonly imageTimeoutMs: number
  readonly parallelImages: number
  /** Called with the reason when the API server stops answering, and with null when it answers again. */
  readonly onAway?: (reason: string | null) => void
  readonly signal: AbortSignal
}

/** A config with what was opened for it. */
export interface ConfigInUse {
  readonly config: Config
  /** Null to contact no registry. */
  readonly resolve: ResolveDependencies | null
  /** Opens the sources of a diagnosis other than the API server; null to contact no registry. */
  readonly openSources: OpenSources | null
}

export interface Parts {
  readonly pages: Pages
  readonly watch: ClusterWatch
  readonly pulls: PullFindings
  readonly problems: Problems
  ofConfig(): ConfigParts
  /** Replaces the config, and forgets what registries answered for the old one. */
  use(next: ConfigInUse): void
}

/** The parts that depend on the config. */
export interface ConfigParts {
  readonly config: Config
  /** When it came into use, in milliseconds since 1970. */
  readonly readAt: number
  /** Null if no registry is contacted. */
  readonly checks: ImageChecks | null
  /** Null if no registry is contacted, and in the cluster. */
  readonly atRisk: AtRiskMemory | null
  readonly health: HealthMemory
  readonly listImages: ReturnType<typeof createImageLister>
}

/** Starts to watch, until the signal aborts. `onChange` is called after each change. */
export function createParts(
  options: PartsOptions,
  { pulseMs, onChange }: { readonly pulseMs: number; readonly onChange: () => void },
): Parts {
  const { api, namespace, followPods, limits = limitsOfHeap(), isShared } = options
  const { onAway, signal } = options
  const pages = createPages()
  let inUse = options.inUse
  const partsOf = (each: ConfigInUse) => createConfigParts({ ...options, limits }, each, onChange)
  let current = partsOf(inUse)
  return {
    pages,
    watch: watchCluster({
      api,
      followPods,
      limits,
      isWatched: () => pages.isWatched(),
      onChange,
      onAway,
      signal,
      pulseMs,
    }),
    pulls: createPullFindings({
      api,
      namespace,
      sources: () => inUse.openSources,
      readsPodsOnly: isShared,
      now: Date.now,
    }),
    problems: createProblems(),
    ofConfig: () => current,
    use(next) {
      current.end()
      inUse = next
      current = partsOf(next)
      onChange()
    },
  }
}

/** Milliseconds after which an image is checked again in the cluster, where the page has no button for it. */
const checkAgainMs = 3_600_000

function createConfigParts(
  {
    imageTimeoutMs,
    parallelImages,
    isShared,
    limits,
    signal,
  }: PartsOptions & { limits: ConsoleLimits },
  { config, resolve }: ConfigInUse,
  onChange: () => void,
): ConfigParts & { end(): void } {
  const link = linkAbort(signal)
  const health = createHealthMemory(Date.now)
  const observed = resolve === null ? null : health.observe(resolve)
  return {
    config,
    readAt: Date.now(),
    checks:
      observed === null
        ? null
        : createImageChecks({
            config,
            resolve: observed,
            imageTimeoutMs,
            parallelImages,
            checkAgainMs: isShared ? checkAgainMs : Number.POSITIVE_INFINITY,
            onChange,
            signal: link.signal,
          }),
    atRisk:
      observed === null || isShared
        ? null
        : createAtRiskMemory({
            resolve: observed,
            isPlainHttp: config.table.isPlainHttp,
            timeoutMs: imageTimeoutMs,
            parallelImages,
            onChange,
          }),
    health,
    listImages: createImageLister(limits.images),
    end() {
      link.unlink()
      link.abort()
    },
  }
}

export interface Problems {
  /** Runs a part of the update, and stores its error for the page. */
  attempt(part: string, run: () => Promise<void>): Promise<void>
  /** Stores a problem for the page; null removes it. */
  set(part: string, problem: string | null): void
  list(): readonly string[]
}

function createProblems(): Problems {
  const problems = new Map<string, string>()
  const set: Problems['set'] = (part, problem) => {
    if (problem === null) problems.delete(part)
    else problems.set(part, `${part}: ${problem}`)
  }
  return {
    async attempt(part, run) {
      try {
        await run()
        set(part, null)
      } catch (error) {
        set(part, error instanceof Error ? error.message : String(error))
      }
    },
    set,
    list: () => [...problems.values()],
  }
}
