/** Keeps the data of the page up to date, and sends each change to the open pages. */
import { createNotifier } from '../async/notifier.ts'
import { sleep } from '../async/sleep.ts'
import type { Config } from '../config/config.ts'
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'
import type { DiagnosisSources } from '../diagnose/evidence/diagnose-cluster.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { type FindAdmissionMode, readAdmissionModes } from '../report/admission-mode.ts'
import { type ClusterWatch, watchCluster } from './cluster-watch.ts'
import { createImageChecks, type ImageChecks } from './image-checks.ts'
import { createImageLister, type ImageList } from './image-list.ts'
import { createPages, type Pages, type Receive } from './pages.ts'
import { createPullFindings, type PullFindings } from './pull-findings.ts'
import { createHealthMemory, healthByNodes, type HealthMemory } from './registry-health.ts'
import { overviewOf, tableOf } from './sections.ts'
import type { Finding, Overview, Sample, Status } from './wire.ts'

export interface LiveOptions {
  readonly api: KubeApi
  readonly context: string
  readonly server: string
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  /** The namespace that Berth runs in. */
  readonly berthNamespace: string
  readonly version: string
  readonly config: Config
  readonly configFile: string
  /** Null to contact no registry. */
  readonly resolve: ResolveDependencies | null
  /** Opens the sources of a diagnosis other than the API server; null to contact no registry. */
  readonly openSources:
    (() => { readonly sources: DiagnosisSources; close(): Promise<void> }) | null
  /** Milliseconds for one image. */
  readonly imageTimeoutMs: number
  readonly parallelImages: number
  readonly signal: AbortSignal
  readonly times?: Partial<LiveTimes>
}

export interface LiveTimes {
  /** Minimum milliseconds between two updates. */
  readonly minIntervalMs: number
  /** Maximum milliseconds between two updates; failed requests are then retried. */
  readonly maxIntervalMs: number
  /** Milliseconds between two checks whether the API server answers. */
  readonly pulseMs: number
  /** Milliseconds between two samples of the history. */
  readonly sampleMs: number
}

const defaultTimes: LiveTimes = {
  // Changes come in bursts, and a person sees no difference.
  minIntervalMs: 500,
  maxIntervalMs: 15_000,
  pulseMs: 5_000,
  sampleMs: 60_000,
}

/** The share of time that updates may take. With many pods, updates become rarer. */
const busyShare = 0.1

const unknownMode: FindAdmissionMode = () => ({
  mode: 'unknown',
  why: 'the webhook configuration is not known',
})

/** A day of samples. */
const maxSamples = 1_440

/** Milliseconds between two reads of the webhook configuration, which changes rarely. */
const readModesMs = 30_000

export interface Live {
  /** Sends the whole state, then each change, until the returned function is called. */
  subscribe(receive: Receive): () => void
  /** Checks the registries of all images again. */
  checkAgain(): void
  list(): ImageList
}

/** Starts to follow the cluster, until the signal aborts. */
export function startLive(options: LiveOptions): Live {
  const { api, signal } = options
  const times = { ...defaultTimes, ...options.times }
  const changed = createNotifier()
  const parts = createParts(options, times, () => changed.notify())
  const { watch, checks, pulls } = parts
  const pages = createPages()
  const view = createView(options, parts, { pages, sampleMs: times.sampleMs })
  let modes: { readonly at: number; readonly find: FindAdmissionMode } | null = null

  async function followList(): Promise<void> {
    while (!signal.aborted) {
      const startedAt = performance.now()
      if (modes === null || startedAt > modes.at + readModesMs) {
        // Until they can be read, each namespace counts as one that Berth may change.
        modes = { at: startedAt, find: modes?.find ?? unknownMode }
        await parts.problems.attempt('webhook configuration', async () => {
          const { find } = await readAdmissionModes(api, options.berthNamespace)
          modes = { at: startedAt, find }
        })
      }
      const readAt = performance.now()
      view.update(modes.find)
      const busyMs = performance.now() - readAt
      await sleep(Math.max(times.minIntervalMs, busyMs / busyShare), signal)
      await changed.wait(times.maxIntervalMs, signal)
    }
  }

  async function followPulls(): Promise<void> {
    let seen = -1
    let nextAt = 0
    while (!signal.aborted) {
      const isDue = watch.version() !== seen || performance.now() >= nextAt
      if (isDue && watch.isSynced() && watch.awaySince() === null) {
        seen = watch.version()
        nextAt = performance.now() + times.maxIntervalMs / 2
        await parts.problems.attempt('diagnosis', () =>
          pulls.update(watch.pods.values(), () => changed.notify()),
        )
      }
      await sleep(times.minIntervalMs * 2, signal)
    }
  }

  void followList()
  void followPulls()
  return {
    subscribe: (receive) => pages.subscribe(receive),
    checkAgain: () => checks?.again(),
    list: () => view.list(),
  }
}

/** The parts that watch the cluster and its registries. */
interface Parts {
  readonly watch: ClusterWatch
  /** Null if no registry is contacted. */
  readonly checks: ImageChecks | null
  readonly pulls: PullFindings
  readonly health: HealthMemory
  readonly problems: Problems
}

function createParts(options: LiveOptions, { pulseMs }: LiveTimes, onChange: () => void): Parts {
  const { api, namespace, signal, resolve, openSources } = options
  const health = createHealthMemory(Date.now)
  return {
    watch: watchCluster({ api, namespace, onChange, signal, pulseMs }),
    checks:
      resolve === null
        ? null
        : createImageChecks({ ...options, resolve: health.observe(resolve), onChange }),
    pulls: createPullFindings({ api, namespace, openSources, now: Date.now }),
    health,
    problems: createProblems(),
  }
}

interface Problems {
  /** Runs a part of the update, and stores its error for the page. */
  attempt(part: string, run: () => Promise<void>): Promise<void>
  list(): readonly string[]
}

function createProblems(): Problems {
  const problems = new Map<string, string>()
  return {
    async attempt(part, run) {
      try {
        await run()
        problems.delete(part)
      } catch (error) {
        problems.set(part, `${part}: ${error instanceof Error ? error.message : String(error)}`)
      }
    },
    list: () => [...problems.values()],
  }
}

interface View {
  /** Sends what has changed. */
  update(findMode: FindAdmissionMode): void
  list(): ImageList
}

function createView(
  options: LiveOptions,
  parts: Parts,
  { pages, sampleMs }: { readonly pages: Pages; readonly sampleMs: number },
): View {
  const { config } = options
  const { watch, checks, pulls } = parts
  const listImages = createImageLister()
  const history: Sample[] = []
  let list = emptyList

  function addSample({ pods, podsOnMirror, failingPods, needInternet }: Overview): void {
    if (Date.now() < (history.at(-1)?.at ?? 0) + sampleMs) return
    history.push({ at: Date.now(), pods, podsOnMirror, failingPods, needInternet })
    history.splice(0, history.length - maxSamples)
    pages.send('history', history)
  }

  return {
    update(findMode) {
      pages.send('status', statusOf(options, parts))
      if (!watch.isSynced()) return
      list = listImages(watch.pods.values(), {
        config,
        findMode,
        checkOf: (key) => checks?.of(key) ?? null,
        failing: pulls.failing(),
      })
      checks?.follow(list.images)
      const findings = pulls.list()
      const overview = overviewOf(list, findings, pulls.failing().size)
      const healthOf = (host: string) => currentHealth(parts, host, findings)
      pages.send('status', statusOf(options, parts))
      pages.sendImages(list.rows)
      pages.send('overview', overview)
      pages.send('findings', findings)
      pages.send(
        'flow',
        list.flow.flow({
          stateOf: (host) => healthOf(host).state,
          isMirror: (host) => config.table.mirrors.has(host),
        }),
      )
      const registries = [...config.registries.values()].map(({ host, mirror }) => ({
        host,
        mirror,
        ...healthOf(host),
      }))
      pages.send('table', tableOf(config, list, { file: options.configFile, registries }))
      addSample(overview)
    },
    list: () => list,
  }
}

function statusOf(options: LiveOptions, { watch, checks, problems }: Parts): Status {
  const { context, server, namespace = null, version } = options
  const problem = watch.problem()
  return {
    context,
    server,
    namespace,
    version,
    isSynced: watch.isSynced(),
    awaySince: watch.awaySince(),
    problems: [...(problem === null ? [] : [problem]), ...problems.list()],
    probes: checks !== null,
    checking: checks?.pending() ?? 0,
    leftOut: watch.leftOut(),
  }
}

/** Returns the last state of a registry. If it works from here or was not checked, uses the pull failures of nodes. */
function currentHealth(
  { health }: Parts,
  host: string,
  findings: readonly Finding[],
): ReturnType<HealthMemory['of']> {
  const own = health.of(host)
  const isFailing = own.state === 'dead' || own.state === 'limited'
  return isFailing ? own : (healthByNodes(host, findings) ?? own)
}

const emptyList: ImageList = {
  rows: new Map(),
  keys: new Map(),
  images: new Map(),
  uses: new Map(),
  flow: { add: () => undefined, flow: () => ({ nodes: [], links: [] }) },
  pods: 0,
  podsOnMirror: 0,
  unprocessedPods: 0,
}
