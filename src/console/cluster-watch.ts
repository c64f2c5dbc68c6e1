/** Watches the pods of a cluster, and checks whether its API server answers. */
import { sleep } from '../async/sleep.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { BerthError } from '../errors.ts'
import { KubeError } from '../kube/error.ts'
import { startInformer } from '../kube/informer.ts'
import { type KubeObject, namespacedName } from '../kube/object.ts'
import { hasEnded } from '../kube/pod-status.ts'
import type { ConsoleLimits } from './limits.ts'
import { reducePod } from './reduce-pod.ts'

export interface PodFollower<Item> {
  /** Returns what to keep of a pod; null keeps nothing. */
  readonly transform: (pod: KubeObject) => Item | null
  /** `item` is null for a pod that is gone or no longer kept, `before` for a new one. */
  readonly onChange: (item: Item | null, before: Item | null) => void
  readonly onError: (error: unknown) => void
  readonly signal: AbortSignal
}

export interface FollowedPods<Item> {
  /** By namespace and name. */
  readonly items: ReadonlyMap<string, Item>
  /** Resolves after the first list; rejects when the signal aborts before. */
  readonly synced: Promise<void>
}

/** Follows the pods of a cluster until the signal of the follower aborts. Never throws. */
export type FollowPods = <Item>(follower: PodFollower<Item>) => FollowedPods<Item>

/** Follows the pods with a separate watch. Without a namespace, follows those of all namespaces. */
export function followPodsOf(api: KubeApi, namespace: string | undefined): FollowPods {
  const ref = {
    apiVersion: 'v1',
    resource: 'pods',
    ...(namespace === undefined ? {} : { namespace }),
  }
  return <Item>({ onChange, ...follower }: PodFollower<Item>) =>
    startInformer<KubeObject, Item>(api, {
      ...follower,
      ref,
      onChange: (_, item, before) => onChange(item, before),
    })
}

export interface ClusterWatchOptions {
  readonly api: KubeApi
  readonly followPods: FollowPods
  /** Called after each change of pods or of the connection. */
  readonly onChange: () => void
  /** Whether a page is open. Otherwise, the API server is not probed. */
  readonly isWatched: () => boolean
  /**
   * Called with the reason when the API server stops answering, and with null when it answers again. If it is set, the API server is
   * probed even while no page is open.
   */
  readonly onAway?: ((reason: string | null) => void) | undefined
  readonly signal: AbortSignal
  /** Milliseconds between two checks whether the API server answers. */
  readonly pulseMs?: number
  readonly limits: Pick<ConsoleLimits, 'pods' | 'length'>
}

export interface ClusterWatch {
  /** The pods, reduced; without those that have ended. */
  pods(): Iterable<KubeObject>
  /** Grows with each change of a pod. */
  version(): number
  isSynced(): boolean
  /** Milliseconds since 1970; null while the API server answers. */
  awaySince(): number | null
  /** Why pods cannot be followed; null if they are. */
  problem(): string | null
  /** How many pods are beyond the limits. */
  leftOut(): number
}

/** A reduced pod with its characters as JSON; null for a pod beyond a limit, which is only counted. */
interface Followed {
  readonly pod: KubeObject | null
  readonly length: number
}

const leftOut: Followed = { pod: null, length: 0 }

/** Characters of a pod as JSON. A tenant's pod can have megabytes of labels and images. */
const maxPodLength = 64 * 1024

const defaultPulseMs = 5_000

/** Starts to follow the pods, until the signal aborts. Never throws. */
export function watchCluster(options: ClusterWatchOptions): ClusterWatch {
  const { followPods, onChange, signal, limits } = options
  const total = { pods: 0, length: 0, leftOut: 0 }
  let isSynced = false
  let version = 0
  let problem: string | null = null

  function count(followed: Followed | null, sign: 1 | -1): void {
    if (followed === null) return
    total.length += sign * followed.length
    total[followed.pod === null ? 'leftOut' : 'pods'] += sign
  }

  const { items, synced }: FollowedPods<Followed> = followPods<Followed>({
    transform: (pod): Followed | null => {
      if (hasEnded(pod)) return null
      const reduced = reducePod(pod)
      const { length } = JSON.stringify(reduced)
      const before = items.get(namespacedName(pod)) ?? leftOut
      const isKept =
        length <= maxPodLength &&
        total.pods + (before.pod === null ? 1 : 0) <= limits.pods &&
        total.length - before.length + length <= limits.length
      return isKept ? { pod: reduced, length } : leftOut
    },
    onChange: (followed, before) => {
      count(before, -1)
      count(followed, 1)
      problem = null
      version += 1
      onChange()
    },
    onError: (error) => {
      problem = error instanceof Error ? error.message : String(error)
      onChange()
    },
    signal,
  })
  const waitForList = async () => {
    await synced
    isSynced = true
    problem = null
    onChange()
  }
  // It rejects only when the signal aborts.
  waitForList().catch(() => undefined)
  const pulse = watchPulse(options)
  return {
    *pods() {
      for (const { pod } of items.values()) if (pod !== null) yield pod
    },
    version: () => version,
    isSynced: () => isSynced,
    awaySince: pulse,
    problem: () => problem,
    leftOut: () => total.leftOut,
  }
}

/** Polls the version endpoint. Returns a function that returns since when the API server has not answered. */
function watchPulse({
  api,
  onChange,
  isWatched,
  onAway,
  signal,
  pulseMs = defaultPulseMs,
}: ClusterWatchOptions): () => number | null {
  let awaySince: number | null = null
  const run = async () => {
    while (!signal.aborted) {
      const asked = Date.now()
      const isChecked = isWatched() || onAway !== undefined
      const reason = isChecked ? await reasonAway(api, pulseMs) : null
      const isAway = reason !== null
      if (!signal.aborted && isAway !== (awaySince !== null)) {
        awaySince = isAway ? asked : null
        onAway?.(reason)
        // An open connection may be dead.
        if (isAway) api.reconnect()
        onChange()
      }
      await sleep(pulseMs, signal)
    }
  }
  void run()
  return () => awaySince
}

/** Returns why the API server does not answer; null if it does. Any status counts as an answer, also 403. */
async function reasonAway(api: KubeApi, timeoutMs: number): Promise<string | null> {
  try {
    await api.getRaw('/version', AbortSignal.timeout(timeoutMs))
    return null
  } catch (error) {
    if (error instanceof KubeError && error.status !== null && error.status < 500) return null
    return error instanceof BerthError
      ? error.message
      : `no answer within ${timeoutMs / 1_000} seconds`
  }
}
