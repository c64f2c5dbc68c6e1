/**
 * Restarts the owners of pods that Berth has not processed, by evicting their pods one by one. Each replacement is checked before
 * the next eviction of its owner: if Berth has not processed it either, the owner is not restarted again.
 */
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import { recordEventOnce } from '../kube/event-recorder.ts'
import { evictPod } from '../kube/evict.ts'
import { namespacedName } from '../kube/object.ts'
import { readAdmissionMode } from '../report/admission-mode.ts'
import type { MovedImage, UnrecordedPod } from '../report/unprocessed-pods.ts'
import type { Logger } from '../telemetry/log.ts'
import type { UnprocessedPodMetrics } from '../telemetry/unprocessed-pod-metrics.ts'
import type { Restart, RestartMemory } from './restart-memory.ts'
import { readStrategyObstacle } from './restart-strategy.ts'

/** The part of each pod of the cluster that is kept in memory. */
export interface WatchedPod {
  readonly uid: string
  readonly ownerUid: string | null
  /** Milliseconds since 1970, to the second. */
  readonly createdAt: number
  readonly isReady: boolean
  readonly isTerminating: boolean
  /** True if the pod never runs again: its owner has replaced it, or needs no replacement. */
  readonly hasEnded: boolean
  /** Whether it has a record of one of its images. */
  readonly isProcessed: boolean
  /** Null for a pod that Berth has processed, or for whose images the table has no candidates. */
  readonly unrecorded: UnrecordedPod | null
}

/** A pod whose images would change in a new pod. */
export interface UnprocessedPod extends UnrecordedPod {
  readonly moved: readonly MovedImage[]
  /** Why Berth does not restart it; null if it may. */
  readonly obstacle: string | null
}

export interface UnprocessedPods {
  readonly unprocessed: readonly UnprocessedPod[]
  /** Returns true if Berth changes new pods of the namespace. */
  readonly enforces: (namespace: string) => boolean
}

export interface RestartsDependencies {
  readonly api: KubeApi
  readonly memory: RestartMemory
  readonly metrics: UnprocessedPodMetrics
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
  readonly signal: AbortSignal
}

export interface Restarts {
  /** Checks the last evictions, and evicts one more pod if it may. Returns true if it may do more at once. Throws KubeError. */
  advance(found: UnprocessedPods, pods: ReadonlyMap<string, WatchedPod>): Promise<boolean>
}

interface RestartsRun extends RestartsDependencies {
  /** The last logged reason why no pod is evicted. */
  waitsFor: string | null
}

interface NextRestart extends Restart {
  readonly pod: UnprocessedPod
}

type PodsByOwner = ReadonlyMap<string, readonly WatchedPod[]>

/** Time for a replacement: a pod may take its terminationGracePeriodSeconds, and a StatefulSet waits until it is gone. */
const replacementMs = 600_000

/** How long the pause of a Deployment and the update strategy of an owner are cached. */
const strategyMs = 600_000

/** How long a rollout counts. */
const rolloutMs = 10_000

/** How long other owners wait for the new pods of an owner to become ready. */
const startMs = 1_800_000

/** The maximum number of owners whose new pods start at the same time, each in another namespace. */
const maxStartingOwners = 5

export function createRestarts(dependencies: RestartsDependencies): Restarts {
  const run: RestartsRun = { ...dependencies, waitsFor: null }
  return {
    async advance(found, pods) {
      const byOwner = groupByOwner(pods.values())
      await checkStarting(run, byOwner)
      const next = findNext(run, found.unprocessed, byOwner)
      if (next === null) return false
      const waitsFor = findPauseReason(run, found, pods)
      if (waitsFor !== null && waitsFor !== run.waitsFor)
        run.log.info({ reason: waitsFor }, 'restarts paused')
      run.waitsFor = waitsFor
      if (waitsFor !== null) return false
      await attempt(run, next.pod.uid, () => evict(run, next, byOwner))
      return true
    },
  }
}

/** Forgets the owners whose new pods are ready, and stops restarting those whose new pod is not processed. */
async function checkStarting(run: RestartsRun, byOwner: PodsByOwner): Promise<void> {
  const { starting } = run.memory
  const now = performance.now()
  for (const [ownerUid, each] of starting) {
    const { pod, owner, knownUids, replacedBy, until } = each
    const pods = byOwner.get(ownerUid) ?? []
    if (!each.isReplaced) {
      const replacement = pods.find(({ uid }) => !knownUids.has(uid))
      if (replacement === undefined && now < replacedBy) continue
      each.isReplaced = true
      const problem =
        replacement === undefined
          ? `${owner.kind} ${owner.name} has not replaced the evicted pod ${pod.name}`
          : `Berth has not processed the pod that replaces ${pod.name}`
      if (replacement?.isProcessed !== true) await stop(run, each, problem)
    }
    if (countUnready(pods) === 0 || now >= until) starting.delete(ownerUid)
  }
}

async function stop(run: RestartsRun, { pod, owner }: Restart, problem: string): Promise<void> {
  const { api, log, memory } = run
  memory.stopped.set(keyOf({ pod, owner }), problem)
  const { namespace } = pod
  const { apiVersion, kind, name, uid } = owner
  log.warn({ owner: `${kind} ${namespace}/${name}`, problem }, 'restart stopped')
  const message = `${problem}, so Berth evicts no more pods of this revision: check the webhook, and restart the owner yourself`
  const event = { type: 'Warning', reason: 'RestartStopped', message } as const
  await attempt(run, `event ${uid}`, () =>
    recordEventOnce(api, { apiVersion, kind, namespace, name, uid }, event, new Date()),
  )
}

/** Returns the next pod to evict: one whose siblings are ready, in a namespace without an owner that is starting. */
function findNext(
  run: RestartsRun,
  unprocessed: readonly UnprocessedPod[],
  byOwner: PodsByOwner,
): NextRestart | null {
  const { stopped, starting, backoff } = run.memory
  const busyNamespaces = new Set([...starting.values()].map(({ pod }) => pod.namespace))
  for (const pod of unprocessed) {
    const { owner, uid, obstacle, namespace } = pod
    if (owner === null || obstacle !== null || busyNamespaces.has(namespace)) continue
    if (stopped.has(keyOf({ pod, owner })) || backoff.delayMs(uid) > 0) continue
    const siblings = (byOwner.get(owner.uid) ?? []).filter((each) => each.uid !== uid)
    const unready = countUnready(siblings)
    if (unready === 0) return { pod, owner }
    logWait(run, { pod, owner }, `${unready} of its other pods are not ready`)
  }
  return null
}

/** Logs why an owner is not restarted now, at most once in ten minutes. */
function logWait(
  { log, memory: { waiting } }: RestartsRun,
  { pod, owner: { kind, name, uid } }: Restart,
  reason: string,
): void {
  if (waiting.has(uid)) return
  waiting.set(uid, true)
  log.info({ owner: `${kind} ${pod.namespace}/${name}`, reason }, 'owner waits')
}

/** Returns why no pod may be evicted now; null if one may. */
function findPauseReason(
  { memory: { starting } }: RestartsRun,
  { unprocessed, enforces }: UnprocessedPods,
  pods: ReadonlyMap<string, WatchedPod>,
): string | null {
  let lastProcessed = 0
  for (const [key, { isProcessed, createdAt }] of pods) {
    const isProof = isProcessed && createdAt > lastProcessed && enforces(namespaceOf(key))
    if (isProof) lastProcessed = createdAt
  }
  // A newer processed pod proves that Berth answers.
  if (unprocessed.some(({ createdAt }) => createdAt >= lastProcessed))
    return 'Berth has processed no pod that is newer than all unprocessed pods'
  return starting.size >= maxStartingOwners
    ? `${starting.size} restarted owners have pods that are not ready`
    : null
}

/** Evicts the pod, unless Berth would not see the new one, or its owner is rolling out or waits for a person. */
async function evict(
  run: RestartsRun,
  { pod, owner }: NextRestart,
  byOwner: PodsByOwner,
): Promise<void> {
  const { api, log, metrics, memory } = run
  const fields = { pod: namespacedName({ metadata: pod }), owner: `${owner.kind} ${owner.name}` }
  const admission = await readAdmissionMode(api, { metadata: pod })
  if (admission.mode !== 'enforce')
    throw new Error(
      `Berth would not change the new pod: ${'why' in admission ? admission.why : 'the namespace is in observe mode'}`,
    )
  const pods = byOwner.get(owner.uid) ?? []
  const isReady = countUnready(pods) === 0
  const obstacle = await readStrategyObstacle(api, { namespace: pod.namespace, isReady }, owner)
  if (obstacle !== null) {
    const { reason, isRollout } = obstacle
    memory.stopped.set(keyOf({ pod, owner }), reason, { ttl: isRollout ? rolloutMs : strategyMs })
    if (isRollout) logWait(run, { pod, owner }, reason)
    else log.info({ ...fields, obstacle: reason }, 'owner not restarted')
    return
  }
  const knownUids = new Set(pods.map(({ uid }) => uid))
  if (!(await evictPod(api, pod))) return
  const now = performance.now()
  memory.starting.set(owner.uid, {
    pod,
    owner,
    knownUids,
    replacedBy: now + replacementMs,
    isReplaced: false,
    until: now + startMs,
  })
  metrics.evicted()
  const [moved] = pod.moved
  log.info({ ...fields, image: moved?.image, becomes: moved?.becomes }, 'unprocessed pod evicted')
}

/** Runs a request. A failure is logged, and starts a backoff. */
async function attempt(
  { memory: { backoff }, log, signal }: RestartsRun,
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
function keyOf({ pod, owner: { uid } }: Restart): string {
  return `${uid} ${pod.labels['controller-revision-hash'] ?? ''}`
}

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'))
}

/** Leaves out pods that have ended. */
function groupByOwner(pods: Iterable<WatchedPod>): ReadonlyMap<string, readonly WatchedPod[]> {
  const groups = new Map<string, WatchedPod[]>()
  for (const pod of pods) {
    if (pod.ownerUid === null || pod.hasEnded) continue
    const group = groups.get(pod.ownerUid)
    if (group === undefined) groups.set(pod.ownerUid, [pod])
    else group.push(pod)
  }
  return groups
}

/** Returns how many of the pods are not ready. Does not count those that are terminating. */
function countUnready(pods: readonly WatchedPod[]): number {
  return pods.filter(({ isReady, isTerminating }) => !isReady && !isTerminating).length
}
