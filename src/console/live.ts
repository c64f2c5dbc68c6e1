/** Keeps the data of the page up to date, and sends each change to the open pages. */
import { createNotifier } from '../async/notifier.ts'
import { sleep } from '../async/sleep.ts'
import { type FindAdmissionMode, readAdmissionModes } from '../report/admission-mode.ts'
import type { ImageList } from './image-list.ts'
import { type ConfigInUse, createParts, type Parts, type PartsOptions } from './live-parts.ts'
import type { Receive } from './pages.ts'
import { healthByNodes, type HealthMemory } from './registry-health.ts'
import { overviewOf, tableOf } from './sections.ts'
import { readTrend } from './trend.ts'
import type { Finding, Overview, Sample, Status } from './wire.ts'

export interface LiveOptions extends PartsOptions {
  readonly context: string
  readonly server: string
  /** The namespace that Berth runs in. */
  readonly berthNamespace: string
  readonly version: string
  readonly configFile: string
  /** Receives an unexpected error, which is a bug. The console continues after it. */
  readonly onBug: (error: unknown) => void
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
  /** Milliseconds between two reads of the metrics of Berth's processes. */
  readonly trendMs: number
}

const defaultTimes: LiveTimes = {
  // Changes come in bursts, and a person sees no difference.
  minIntervalMs: 500,
  maxIntervalMs: 15_000,
  pulseMs: 5_000,
  sampleMs: 60_000,
  trendMs: 60_000,
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
  /** Replaces the config: decides and checks every image again. */
  use(next: ConfigInUse): void
  /** Shows a problem of the config file; null removes it. */
  setConfigProblem(problem: string | null): void
}

/** Starts to follow the cluster, until the signal aborts. While no page is open, it works as rarely as the history needs. */
export function startLive(options: LiveOptions): Live {
  const { signal } = options
  const times = { ...defaultTimes, ...options.times }
  const changed = createNotifier()
  const onChange = () => {
    if (parts.pages.isWatched()) changed.notify()
  }
  const parts = createParts(options, { pulseMs: times.pulseMs, onChange })
  const view = createView(options, parts, times)
  const updateList = createListUpdate(options, parts, view)
  const updatePulls = createPullsUpdate(parts, times, onChange)
  const followList = async () => {
    const busyMs = await updateList()
    await sleep(Math.max(times.minIntervalMs, busyMs / busyShare), signal)
    await changed.wait(parts.pages.isWatched() ? times.maxIntervalMs : times.sampleMs, signal)
  }
  const followPulls = async () => {
    await updatePulls()
    await sleep(times.minIntervalMs * 2, signal)
  }
  void repeat(followList, options)
  void repeat(followPulls, options)
  if (!options.isShared) void repeat(createTrendUpdate(options, parts, times), options)
  return {
    subscribe(receive) {
      const unsubscribe = parts.pages.subscribe(receive)
      // Without a page, updates are rare, so the last one may be old.
      changed.notify()
      return unsubscribe
    },
    checkAgain() {
      const { checks, atRisk } = parts.ofConfig()
      checks?.again()
      atRisk?.again()
      changed.notify()
    },
    list: () => view.list(),
    use: (next) => parts.use(next),
    setConfigProblem(problem) {
      parts.problems.set('config', problem)
      onChange()
    },
  }
}

/** Repeats a step until the signal aborts, also after a bug. */
async function repeat(
  step: () => Promise<void>,
  { onBug, signal }: Pick<LiveOptions, 'onBug' | 'signal'>,
): Promise<void> {
  while (!signal.aborted)
    try {
      await step()
    } catch (error) {
      onBug(error)
      await sleep(defaultTimes.maxIntervalMs, signal)
    }
}

/** Returns a function that updates everything but the findings, and returns how many milliseconds of CPU time that took. */
function createListUpdate(
  { api, berthNamespace, isShared }: LiveOptions,
  { pages, problems }: Parts,
  view: View,
): () => Promise<number> {
  let modes: { readonly at: number; readonly find: FindAdmissionMode } | null = null
  return async () => {
    const startedAt = performance.now()
    if (modes === null || (startedAt > modes.at + readModesMs && pages.isWatched())) {
      // Until they can be read, each namespace counts as one that Berth may change.
      modes = { at: startedAt, find: modes?.find ?? unknownMode }
      await problems.attempt('webhook configuration', async () => {
        const { find } = await readAdmissionModes(api, berthNamespace, isShared ? 'get' : 'list')
        modes = { at: startedAt, find }
      })
    }
    const readAt = performance.now()
    view.update(modes.find)
    return performance.now() - readAt
  }
}

/** Returns a function that updates the findings if pods have changed, or if the last update is old. */
function createPullsUpdate(
  { pages, watch, pulls, problems }: Parts,
  { maxIntervalMs, sampleMs }: LiveTimes,
  onChange: () => void,
): () => Promise<void> {
  let seen = -1
  let seenAt = Number.NEGATIVE_INFINITY
  return async () => {
    const now = performance.now()
    const isDue = pages.isWatched()
      ? watch.version() !== seen || now >= seenAt + maxIntervalMs / 2
      : now >= seenAt + sampleMs
    if (!isDue || !watch.isSynced() || watch.awaySince() !== null) return
    seen = watch.version()
    seenAt = now
    await problems.attempt('diagnosis', () => pulls.update(watch.pods(), onChange))
  }
}

/** Returns a function that reads what the processes of Berth have counted, while someone sees it, and then waits. */
function createTrendUpdate(
  { api, berthNamespace: namespace, signal }: LiveOptions,
  { pages }: Parts,
  { minIntervalMs, trendMs }: LiveTimes,
): () => Promise<void> {
  return async () => {
    const isWatched = pages.isWatched()
    if (isWatched) pages.send('trend', await readTrend({ api, namespace, now: Date.now }))
    await sleep(isWatched ? trendMs : minIntervalMs * 2, signal)
  }
}

interface View {
  /** Sends what has changed. */
  update(findMode: FindAdmissionMode): void
  list(): ImageList
}

function createView(options: LiveOptions, parts: Parts, { sampleMs }: LiveTimes): View {
  const { watch, pulls, pages } = parts
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
      pages.send('status', statusOf(options, parts, list))
      if (!watch.isSynced()) return
      const { config, readAt, checks, atRisk, listImages } = parts.ofConfig()
      list = listImages(watch.pods(), {
        config,
        findMode,
        checkOf: (key) => checks?.of(key) ?? null,
        failing: pulls.failing(),
      })
      checks?.follow(list.images)
      atRisk?.follow(watch.pods(), watch.version())
      const risk = atRisk?.latest() ?? null
      if (risk !== null) pages.send('atRisk', risk)
      const findings = pulls.list()
      const overview = overviewOf(list, findings, pulls.failing().size)
      const healthOf = (host: string) => currentHealth(parts, host, findings)
      pages.send('status', statusOf(options, parts, list))
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
      pages.send('table', tableOf(config, list, { file: options.configFile, readAt, registries }))
      addSample(overview)
    },
    list: () => list,
  }
}

function statusOf(options: LiveOptions, parts: Parts, list: ImageList): Status {
  const { watch, problems } = parts
  const { context, server, namespace = null, version, isShared } = options
  const { checks } = parts.ofConfig()
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
    isShared,
    checking: checks?.pending() ?? 0,
    leftOut: watch.leftOut() + list.leftOut,
  }
}

/** Returns the last state of a registry. If it works from here or was not checked, uses the pull failures of nodes. */
function currentHealth(
  parts: Parts,
  host: string,
  findings: readonly Finding[],
): ReturnType<HealthMemory['of']> {
  const own = parts.ofConfig().health.of(host)
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
  leftOut: 0,
}
