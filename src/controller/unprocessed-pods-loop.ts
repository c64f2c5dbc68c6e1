/**
 * The controller loop for pods that Berth has not processed and whose images would change in a new pod: typically because Berth
 * was down when they were created. It counts them and, with `unprocessed: restart`, restarts their owners.
 */
import pLimit from 'p-limit'
import { createNotifier } from '../async/notifier.ts'
import { sleep } from '../async/sleep.ts'
import type { FallbackTable } from '../decision/fallback/table.ts'
import { imageTimeoutMs, parallelImages } from '../engine/batch-limits.ts'
import type { Engine } from '../engine/decision-engine.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import type { KubeObject } from '../kube/object.ts'
import { controllerOf } from '../kube/pod-owner.ts'
import { hasEnded, isReady } from '../kube/pod-status.ts'
import { type AdmissionModes, readAdmissionModes } from '../report/admission-mode.ts'
import {
  findMovedImages,
  hasCurrentRecord,
  type MovedImages,
  readUnrecordedPod,
  restartObstacle,
  type UnrecordedPod,
} from '../report/unprocessed-pods.ts'
import type { Logger } from '../telemetry/log.ts'
import type { UnprocessedPodMetrics } from '../telemetry/unprocessed-pod-metrics.ts'
import type { RestartMemory } from './restart-memory.ts'
import type { ImageFinding } from '../report/open-reports.ts'
import type { ImageFindings } from './image-findings.ts'
import type { Loop } from './runtime/loops.ts'
import type { PodWatch } from './runtime/pod-watch.ts'
import {
  createRestarts,
  type UnprocessedPod,
  type UnprocessedPods,
  type WatchedPod,
} from './unprocessed-restarts.ts'

export interface UnprocessedPodsDependencies {
  readonly api: KubeApi
  readonly watch: PodWatch
  readonly action: 'report' | 'restart'
  readonly table: FallbackTable
  /** Berth's own namespace. */
  readonly namespace: string
  readonly openEngine: () => Pick<Engine, 'decide' | 'close'>
  /** Outlives the loop. */
  readonly memory: RestartMemory
  readonly metrics: UnprocessedPodMetrics
  /** Null if nothing reads them. */
  readonly findings?: ImageFindings | null
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

export interface UnprocessedPodsTimes {
  /** The minimum and the maximum time between two passes, in milliseconds. */
  readonly minIntervalMs: number
  readonly maxIntervalMs: number
}

const defaultTimes: UnprocessedPodsTimes = { minIntervalMs: 1_000, maxIntervalMs: 30_000 }

/** How long the labels of namespaces are cached. The webhook configuration is read again before each eviction. */
const modesMs = 60_000

/** How long a decision is cached, and one for which a registry did not answer. */
const decidedMs = 600_000
const unknownMs = 30_000

const missingRightFix =
  'add the component unprocessed-pods (Helm: controller.unprocessedPods=true), or remove unprocessed from the config'

export function createUnprocessedPodsLoop(
  dependencies: UnprocessedPodsDependencies,
  times: UnprocessedPodsTimes = defaultTimes,
): Loop {
  const { watch, table, metrics, log } = dependencies
  return {
    name: 'unprocessed-pods',
    async run(signal) {
      const engine = dependencies.openEngine()
      const podsChanged = createNotifier()
      const { items: pods, synced } = watch.follow<WatchedPod>({
        loop: 'unprocessed-pods',
        transform: (pod) => readWatchedPod(table, pod),
        onChange: () => podsChanged.notify(),
        log,
        missingRightFix,
        signal,
      })
      const find = createFinder(dependencies, engine, signal)
      const restarts = createRestarts({ ...dependencies, signal })
      const attempt = createAttempt(log, signal)
      try {
        await synced
        while (!signal.aborted) {
          const hasMore = await attempt(async () => {
            const found = await find(pods.values())
            metrics.unprocessed(countByNamespace(found.unprocessed))
            dependencies.findings?.publish('unprocessed-pod', () => readFindings(found.unprocessed))
            return dependencies.action === 'restart' && (await restarts.advance(found, pods))
          })
          if (!hasMore) await podsChanged.wait(times.maxIntervalMs, signal)
          // Also gives the owner of a pod that has become ready the time to update its status.
          await sleep(times.minIntervalMs, signal)
        }
      } finally {
        // The next leader counts them.
        metrics.unprocessed(new Map())
        await engine.close()
      }
    },
  }
}

/** Returns a function that runs a pass. A repeated failure is logged once, and the next pass retries. */
function createAttempt(
  log: UnprocessedPodsDependencies['log'],
  signal: AbortSignal,
): (pass: () => Promise<boolean>) => Promise<boolean> {
  let last = ''
  return async (pass) => {
    try {
      const hasMore = await pass()
      last = ''
      return hasMore
    } catch (error) {
      if (signal.aborted) return false
      const problem = String(error)
      const fix = hasStatus(error, 403) ? missingRightFix : undefined
      log[problem === last ? 'debug' : 'warn']({ problem, fix }, 'unprocessed pods not checked')
      last = problem
      return false
    }
  }
}

/** Keeps only the age and readiness of most pods. */
function readWatchedPod(table: FallbackTable, pod: KubeObject): WatchedPod {
  const { uid = '', creationTimestamp = '', deletionTimestamp } = pod.metadata
  return {
    uid,
    ownerUid: controllerOf(pod.metadata)?.uid ?? null,
    createdAt: Date.parse(creationTimestamp) || 0,
    isReady: isReady(pod),
    isTerminating: deletionTimestamp !== undefined,
    hasEnded: hasEnded(pod),
    isProcessed: hasCurrentRecord(pod),
    unrecorded: readUnrecordedPod(table, pod),
  }
}

interface DecidedPod {
  readonly images: MovedImages
  readonly until: number
}

/** Returns a function that finds the pods whose images would change in a new pod. Caches its decisions. */
function createFinder(
  { api, namespace }: UnprocessedPodsDependencies,
  { decide }: Pick<Engine, 'decide'>,
  signal: AbortSignal,
): (pods: Iterable<WatchedPod>) => Promise<UnprocessedPods> {
  const limit = pLimit(parallelImages)
  let decided = new Map<string, DecidedPod>()
  let known: { readonly modes: AdmissionModes; readonly until: number } | null = null

  async function findModes(): Promise<AdmissionModes> {
    if (known === null || performance.now() > known.until) {
      const modes = await readAdmissionModes(api, namespace, 'get')
      known = { modes, until: performance.now() + modesMs }
    }
    return known.modes
  }

  async function decideOnce(pod: UnrecordedPod): Promise<DecidedPod> {
    const before = decided.get(pod.uid)
    if (before !== undefined && performance.now() < before.until) return before
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(imageTimeoutMs)])
    const images = await findMovedImages(decide, pod, timeout)
    return { images, until: performance.now() + (images.isUnknown ? unknownMs : decidedMs) }
  }

  return async (pods) => {
    const unrecorded = [...pods].flatMap((each) => each.unrecorded ?? [])
    if (unrecorded.length === 0) return { unprocessed: [], enforces: () => false }
    const modes = await findModes()
    const seen = unrecorded.filter((pod) => modes.find({ metadata: pod }).mode === 'enforce')
    const results = await Promise.all(
      seen.map((pod) => limit(async () => ({ pod, result: await decideOnce(pod) }))),
    )
    decided = new Map(results.map(({ pod, result }) => [pod.uid, result]))
    const unprocessed = results.flatMap(({ pod, result: { images } }) =>
      images.moved.length === 0
        ? []
        : [
            {
              ...pod,
              moved: images.moved,
              obstacle: restartObstacle(pod.owner) ?? images.obstacle,
            },
          ],
    )
    return { unprocessed, enforces: modes.enforces }
  }
}

function* readFindings(pods: readonly UnprocessedPod[]): Generator<ImageFinding> {
  for (const { namespace, name: pod, moved } of pods) {
    for (const { image, becomes } of moved) {
      const message = `a new pod would run ${becomes}; restart the owner of the pod`
      const about = { kind: 'unprocessed-pod', rule: 'unprocessed-pod' } as const
      yield { ...about, namespace, pod, image, message }
    }
  }
}

function countByNamespace(pods: readonly UnprocessedPod[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { namespace } of pods) counts.set(namespace, (counts.get(namespace) ?? 0) + 1)
  return counts
}
