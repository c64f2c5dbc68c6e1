/**
 * The controller loop for pods that cannot pull the image that Berth gave them, although a new pod would now get another image
 * that exists: typically because a mirror died. It evicts pods that a controller recreates, and reports the others.
 */
import { createNotifier } from '../async/notifier.ts'
import { createRateLimiter, type RateLimiter } from '../async/rate-limiter.ts'
import { sleep } from '../async/sleep.ts'
import { defaultTag } from '../decision/reference/reference.ts'
import type { Decision, ImageDecision } from '../decision/resolve/decide-by-row.ts'
import { isDenied } from '../decision/resolve/resolution.ts'
import { imageTimeoutMs } from '../engine/batch-limits.ts'
import type { Engine } from '../engine/decision-engine.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import { recordEventOnce } from '../kube/event-recorder.ts'
import { evictPod } from '../kube/evict.ts'
import { type KubeObject, namespacedName } from '../kube/object.ts'
import { recreateObstacle } from '../kube/pod-owner.ts'
import type { Logger } from '../telemetry/log.ts'
import type { StuckPodMetrics } from '../telemetry/stuck-pod-metrics.ts'
import type { Loop } from './runtime/loops.ts'
import type { PodWatch } from './runtime/pod-watch.ts'
import { createTaskBackoff, type TaskBackoff } from './runtime/task-backoff.ts'
import { readStuckPod, type StuckPod } from './stuck-pod.ts'

export interface StuckPodsDependencies {
  readonly api: KubeApi
  readonly watch: PodWatch
  readonly action: 'report' | 'recreate'
  readonly openEngine: () => Pick<Engine, 'decide' | 'resolve' | 'close'>
  readonly metrics: StuckPodMetrics
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

export interface StuckPodsTimes {
  /** Milliseconds for which a pull has to fail. */
  readonly afterMs: number
  /** The minimum time between two evictions, in milliseconds. */
  readonly evictionGapMs: number
  /** The maximum time between two passes, in milliseconds. */
  readonly intervalMs: number
}

const defaultTimes: StuckPodsTimes = {
  // The kubelet's second attempt follows 10 s after the first (kubelet.go, imageBackOffPeriod).
  afterMs: 10_000,
  evictionGapMs: 1_000,
  intervalMs: 10_000,
}

const missingRightFix =
  'add the component stuck-pods (Helm: controller.stuckPods=true), or remove stuckPods from the config'

/** A pod that was recreated after the first eviction and is stuck again waits this long: another eviction soon does not help. */
const evictAgainMs = 600_000

interface TrackedPod {
  readonly pod: StuckPod
  /** When it was first seen to wait for these images, by `performance.now()`. */
  readonly since: number
}

/** When pods of an owner were evicted because of one image, in milliseconds since 1970. */
interface Evictions {
  readonly first: number
  readonly last: number
}

interface StuckPodsRun extends StuckPodsDependencies {
  readonly engine: Pick<Engine, 'decide' | 'resolve'>
  readonly limiter: RateLimiter
  readonly backoff: TaskBackoff
  readonly evictions: Map<string, Evictions>
  /** The UIDs of the pods that have an Event. */
  readonly reported: Set<string>
  readonly signal: AbortSignal
}

export function createStuckPodsLoop(
  dependencies: StuckPodsDependencies,
  times: StuckPodsTimes = defaultTimes,
): Loop {
  return {
    name: 'stuck-pods',
    async run(signal) {
      const engine = dependencies.openEngine()
      const podsChanged = createNotifier()
      const run: StuckPodsRun = {
        ...dependencies,
        engine,
        limiter: createRateLimiter(times.evictionGapMs),
        backoff: createTaskBackoff(() => performance.now()),
        evictions: new Map(),
        reported: new Set(),
        signal,
      }
      try {
        const { items: pods, synced } = dependencies.watch.follow<TrackedPod>({
          loop: 'stuck-pods',
          transform: trackStuckPod,
          onChange: () => podsChanged.notify(),
          log: dependencies.log,
          missingRightFix,
          signal,
        })
        await synced
        while (!signal.aborted) {
          await healPods(run, pods, times.afterMs)
          await podsChanged.wait(times.intervalMs, signal)
          await sleep(Math.min(1_000, times.intervalMs), signal)
        }
      } finally {
        // The next leader counts them.
        dependencies.metrics.stuck({ recreate: 0, report: 0 })
        await engine.close()
      }
    },
  }
}

/** Returns null for a pod that is not stuck. `before` is what was known of the pod with its name. */
function trackStuckPod(pod: KubeObject, before: TrackedPod | null): TrackedPod | null {
  const stuck = readStuckPod(pod)
  if (stuck === null) return null
  return { pod: stuck, since: before?.pod.uid === stuck.uid ? before.since : performance.now() }
}

/** Evicts or reports each pod in whose place a new pod could run. */
async function healPods(
  run: StuckPodsRun,
  pods: ReadonlyMap<string, TrackedPod>,
  afterMs: number,
): Promise<void> {
  const counts = { recreate: 0, report: 0 }
  for (const { pod, since } of pods.values()) {
    if (run.signal.aborted) return
    if (performance.now() < since + afterMs) continue
    const better = await findBetterImage(run, pod)
    if (better === null) continue
    const obstacle = recreateObstacle(pod.owner)
    const isRecreated = run.action === 'recreate' && obstacle === null
    counts[isRecreated ? 'recreate' : 'report'] += 1
    const reason = `${better.image} cannot be pulled, and a new pod gets ${better.becomes}`
    const fix = isRecreated ? 'Berth evicts the pod' : (obstacle ?? 'delete the pod')
    await report(run, pod, `${reason}; ${fix}`)
    if (isRecreated && mayEvict(run, pod, better.image)) await evict(run, pod, better)
  }
  run.metrics.stuck(counts)
  const uids = new Set([...pods.values()].map(({ pod }) => pod.uid))
  for (const uid of run.reported) if (!uids.has(uid)) run.reported.delete(uid)
}

/** Records one Event for each pod. */
async function report(run: StuckPodsRun, pod: StuckPod, message: string): Promise<void> {
  const { api, reported } = run
  const { namespace, name, uid } = pod
  if (reported.has(uid)) return
  await attempt(run, `event/${uid}`, pod, async () => {
    const about = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
    const event = { type: 'Warning', reason: 'StuckOnImage', message } as const
    await recordEventOnce(api, about, event, new Date())
    reported.add(uid)
  })
}

interface BetterImage {
  /** What the pod cannot pull. */
  readonly image: string
  /** What a new pod gets. */
  readonly becomes: string
}

/** Returns the other image that a new pod would get, if its registry has it; else null. */
async function findBetterImage(
  { engine, signal }: StuckPodsRun,
  { images, context }: StuckPod,
): Promise<BetterImage | null> {
  for (const { requested, image } of images) {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(imageTimeoutMs)])
    const decision = await engine.decide(requested, { pod: context, signal: () => timeout })
    if (isBetter(decision, image) && (await isServed(engine, decision, timeout)))
      return { image, becomes: decision.image }
  }
  return null
}

function isBetter(decision: Decision, image: string): decision is ImageDecision {
  return decision.ok && !isDenied(decision.resolution) && decision.image !== image
}

/** Returns true if the registry has the image, or if Berth must not ask it. */
async function isServed(
  { resolve: { isListed, isProbed, queryManifest } }: Pick<Engine, 'resolve'>,
  { resolution: { chosen } }: ImageDecision,
  signal: AbortSignal,
): Promise<boolean> {
  const { domain: host, path: repository, tag, digest } = chosen
  if (!isListed(host) || !isProbed(host)) return true
  const query = { host, repository, reference: digest ?? tag ?? defaultTag, namespace: '' }
  return (await queryManifest(query, signal)).outcome === 'found'
}

/** Returns false for a pod that was already recreated for the same reason, and for a pod whose eviction was refused just now. */
function mayEvict({ evictions, backoff }: StuckPodsRun, pod: StuckPod, image: string): boolean {
  const before = evictions.get(evictionKey(pod, image))
  const isRecreated = before !== undefined && pod.createdAt > before.first
  if (isRecreated && Date.now() < before.last + evictAgainMs) return false
  return backoff.delayMs(pod.uid) === 0
}

function evictionKey({ owner, uid }: StuckPod, image: string): string {
  return `${owner?.uid ?? uid} ${image}`
}

async function evict(run: StuckPodsRun, pod: StuckPod, better: BetterImage): Promise<void> {
  const { api, evictions, limiter, log, metrics, signal } = run
  await limiter.acquire(signal)
  await attempt(run, pod.uid, pod, async () => {
    if (!(await evictPod(api, pod))) return
    const key = evictionKey(pod, better.image)
    const now = Date.now()
    evictions.set(key, { first: evictions.get(key)?.first ?? now, last: now })
    for (const [other, { last }] of evictions)
      if (last + evictAgainMs < now) evictions.delete(other)
    metrics.recreated()
    const { image, becomes } = better
    log.info({ pod: namespacedName({ metadata: pod }), image, becomes }, 'stuck pod evicted')
  })
}

/** Runs a request. A failure is logged and put aside with a backoff. */
async function attempt(
  { backoff, log, signal }: StuckPodsRun,
  id: string,
  pod: StuckPod,
  request: () => Promise<void>,
): Promise<void> {
  if (backoff.delayMs(id) > 0) return
  try {
    await request()
    backoff.recordSuccess(id)
  } catch (error) {
    if (signal.aborted) return
    backoff.recordFailure(id, { reason: null, retryAfterMs: 0 })
    const fix = hasStatus(error, 403) ? missingRightFix : undefined
    log.warn(
      { pod: namespacedName({ metadata: pod }), problem: String(error), fix },
      'stuck pod not handled',
    )
  }
}
