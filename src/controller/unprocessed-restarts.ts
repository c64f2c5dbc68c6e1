/**
 * Restarts the owners of pods that Berth has not processed, by evicting their pods one after the other. Each eviction is checked
 * before the next: if the pod in its place is not processed either, its owner is not restarted again.
 */
import { LRUCache } from 'lru-cache'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import { recordEventOnce } from '../kube/event-recorder.ts'
import { evictPod } from '../kube/evict.ts'
import { namespacedName, type OwnerReference } from '../kube/object.ts'
import { readAdmissionMode } from '../report/admission-mode.ts'
import type { MovedImage, UnrecordedPod } from '../report/unprocessed-pods.ts'
import type { Logger } from '../telemetry/log.ts'
import type { UnprocessedPodMetrics } from '../telemetry/unprocessed-pod-metrics.ts'
import { createTaskBackoff, type TaskBackoff } from './runtime/task-backoff.ts'
import { readStrategyObstacle } from './restart-strategy.ts'

/** What is kept of each pod of the cluster. */
export interface WatchedPod {
  readonly uid: string
  readonly ownerUid: string | null
  /** Milliseconds since 1970, to the second. */
  readonly createdAt: number
  readonly isReady: boolean
  readonly isTerminating: boolean
  /** Whether Berth has processed it. */
  readonly isProcessed: boolean
  /** Null for a pod that Berth has processed, or whose images stay by the table alone. */
  readonly unrecorded: UnrecordedPod | null
}

/** A pod that Berth would move if it were new. */
export interface UnprocessedPod extends UnrecordedPod {
  readonly moved: readonly MovedImage[]
  /** Why Berth does not restart it; null if it may. */
  readonly obstacle: string | null
}

export interface RestartsDependencies {
  readonly api: KubeApi
  readonly metrics: UnprocessedPodMetrics
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
  readonly signal: AbortSignal
}

export interface Restarts {
  /** Checks the last eviction and, if it is done, evicts one more pod. Returns true if it may do more at once. Throws KubeError. */
  advance(
    unprocessed: readonly UnprocessedPod[],
    pods: ReadonlyMap<string, WatchedPod>,
  ): Promise<boolean>
}

/** An eviction whose replacement has not been seen. */
interface Eviction {
  readonly pod: UnprocessedPod
  readonly owner: OwnerReference
  /** The pods that the owner had. */
  readonly knownUids: ReadonlySet<string>
  readonly until: number
}

interface RestartsRun extends RestartsDependencies {
  readonly backoff: TaskBackoff
  /** The revisions of owners that are not restarted again, with the reason. */
  readonly stopped: LRUCache<string, string>
  /** The UIDs of owners that were restarted. */
  readonly restarted: LRUCache<string, true>
  pending: Eviction | null
  /** Why no pod is evicted now, as it was logged last. */
  waitsFor: string | null
}

type PodsByOwner = ReadonlyMap<string, readonly WatchedPod[]>

/** A pod may take its terminationGracePeriodSeconds, and a StatefulSet waits for its end. */
const replacementMs = 600_000

/** How long a paused Deployment or an update strategy counts. */
const strategyMs = 600_000

/** Owners whose new pods may be starting at the same time. */
const maxStartingOwners = 5

/** Owners that are remembered. */
const maxOwners = 10_000

export function createRestarts(dependencies: RestartsDependencies): Restarts {
  const run: RestartsRun = {
    ...dependencies,
    backoff: createTaskBackoff(() => performance.now()),
    stopped: new LRUCache({ max: maxOwners }),
    restarted: new LRUCache({ max: maxOwners }),
    pending: null,
    waitsFor: null,
  }
  return {
    async advance(unprocessed, pods) {
      const byOwner = groupByOwner(pods.values())
      if (!(await checkReplacement(run, byOwner))) return false
      const next = findNext(run, unprocessed, byOwner)
      if (next === null) return false
      const waitsFor = findBrake(run, unprocessed, { pods: pods.values(), byOwner })
      if (waitsFor !== null && waitsFor !== run.waitsFor)
        run.log.info({ reason: waitsFor }, 'restarts wait')
      run.waitsFor = waitsFor
      if (waitsFor !== null) return false
      await attempt(run, next.pod.uid, () => evict(run, next, byOwner))
      return true
    },
  }
}

/** Returns false while the replacement of the last evicted pod has not been seen. Stops an owner whose new pod is not processed. */
async function checkReplacement(run: RestartsRun, byOwner: PodsByOwner): Promise<boolean> {
  if (run.pending === null) return true
  const { pod, owner, knownUids, until } = run.pending
  const replacement = (byOwner.get(owner.uid) ?? []).find(({ uid }) => !knownUids.has(uid))
  if (replacement === undefined && performance.now() < until) return false
  run.pending = null
  if (replacement?.isProcessed === true) return true
  const { kind, name } = owner
  const problem =
    replacement === undefined
      ? `${kind} ${name} has not replaced the evicted pod ${pod.name}`
      : `Berth has not processed the pod that replaces ${pod.name}`
  await stop(run, { pod, owner }, problem)
  return true
}

async function stop(run: RestartsRun, { pod, owner }: Restart, problem: string): Promise<void> {
  const { api, log, stopped } = run
  stopped.set(keyOf(pod, owner), problem)
  const { namespace } = pod
  const { apiVersion, kind, name, uid } = owner
  log.warn({ owner: `${kind} ${namespace}/${name}`, problem }, 'restart stopped')
  const message = `${problem}, so Berth evicts no more pods of this revision: check the webhook, and restart the owner yourself`
  const event = { type: 'Warning', reason: 'RestartStopped', message } as const
  await attempt(run, `event ${uid}`, () =>
    recordEventOnce(api, { apiVersion, kind, namespace, name, uid }, event, new Date()),
  )
}

interface Restart {
  readonly pod: UnprocessedPod
  readonly owner: OwnerReference
}

/** Returns the next pod to evict: one whose siblings are ready. */
function findNext(
  { stopped, backoff }: RestartsRun,
  unprocessed: readonly UnprocessedPod[],
  byOwner: PodsByOwner,
): Restart | null {
  for (const pod of unprocessed) {
    const { owner, uid, obstacle } = pod
    if (owner === null || obstacle !== null || stopped.has(keyOf(pod, owner))) continue
    if (backoff.delayMs(uid) > 0) continue
    const siblings = (byOwner.get(owner.uid) ?? []).filter((each) => each.uid !== uid)
    if (areReady(siblings)) return { pod, owner }
  }
  return null
}

/** Returns why no pod must be evicted now; null if one may. */
function findBrake(
  { restarted }: RestartsRun,
  unprocessed: readonly UnprocessedPod[],
  { pods, byOwner }: { readonly pods: Iterable<WatchedPod>; readonly byOwner: PodsByOwner },
): string | null {
  let lastProcessed = 0
  for (const { isProcessed, createdAt } of pods)
    if (isProcessed) lastProcessed = Math.max(lastProcessed, createdAt)
  // The proof that Berth answers.
  if (unprocessed.some(({ createdAt }) => createdAt >= lastProcessed))
    return 'Berth has processed no pod that is newer than all unprocessed pods'
  const starting = [...restarted.keys()].filter((uid) => !areReady(byOwner.get(uid) ?? []))
  return starting.length >= maxStartingOwners
    ? `${starting.length} restarted owners have pods that are not ready`
    : null
}

/** Evicts the pod, unless Berth is not registered or the owner does not want its pods to be replaced now. */
async function evict(
  run: RestartsRun,
  { pod, owner }: Restart,
  byOwner: PodsByOwner,
): Promise<void> {
  const { api, log, metrics, restarted, stopped } = run
  const fields = { pod: namespacedName({ metadata: pod }), owner: `${owner.kind} ${owner.name}` }
  const admission = await readAdmissionMode(api, { metadata: pod })
  if (admission.mode !== 'enforce')
    throw new Error(
      `Berth would not change the new pod: ${'why' in admission ? admission.why : 'the namespace is in observe mode'}`,
    )
  const obstacle = await readStrategyObstacle(api, pod.namespace, owner)
  if (obstacle !== null) {
    stopped.set(keyOf(pod, owner), obstacle, { ttl: strategyMs })
    log.info({ ...fields, obstacle }, 'owner not restarted')
    return
  }
  const knownUids = new Set((byOwner.get(owner.uid) ?? []).map(({ uid }) => uid))
  if (!(await evictPod(api, pod))) return
  run.pending = { pod, owner, knownUids, until: performance.now() + replacementMs }
  restarted.set(owner.uid, true)
  metrics.evicted()
  const [moved] = pod.moved
  log.info({ ...fields, image: moved?.image, becomes: moved?.becomes }, 'unprocessed pod evicted')
}

/** Runs a request. A failure is logged and put aside with a backoff. */
async function attempt(
  { backoff, log, signal }: Pick<RestartsRun, 'backoff' | 'log' | 'signal'>,
  id: string,
  request: () => Promise<void>,
): Promise<void> {
  try {
    await request()
    backoff.recordSuccess(id)
  } catch (error) {
    if (signal.aborted) return
    backoff.recordFailure(id, { reason: null, retryAfterMs: 0 })
    // A disruption budget does not allow the eviction now.
    const level = hasStatus(error, 429) ? 'debug' : 'warn'
    log[level]({ about: id, problem: String(error) }, 'restart failed')
  }
}

/** The revision of a ReplicaSet is the ReplicaSet itself. */
function keyOf({ labels }: UnprocessedPod, { uid }: OwnerReference): string {
  return `${uid} ${labels['controller-revision-hash'] ?? ''}`
}

function groupByOwner(pods: Iterable<WatchedPod>): ReadonlyMap<string, readonly WatchedPod[]> {
  const groups = new Map<string, WatchedPod[]>()
  for (const pod of pods) {
    if (pod.ownerUid === null) continue
    const group = groups.get(pod.ownerUid)
    if (group === undefined) groups.set(pod.ownerUid, [pod])
    else group.push(pod)
  }
  return groups
}

/** Returns true if all pods are ready, except those that are terminating. */
function areReady(pods: readonly WatchedPod[]): boolean {
  return pods.every(({ isReady, isTerminating }) => isReady || isTerminating)
}
