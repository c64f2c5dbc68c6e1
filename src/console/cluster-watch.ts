/** Watches the pods of a cluster, and checks whether its API server answers. */
import { sleep } from '../async/sleep.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { KubeError } from '../kube/error.ts'
import { type Informer, startInformer } from '../kube/informer.ts'
import { type KubeObject, namespacedName } from '../kube/object.ts'
import { hasEnded } from '../kube/pod-status.ts'
import { reducePod } from './reduce-pod.ts'

export interface ClusterWatchOptions {
  readonly api: KubeApi
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  /** Called after each change of pods or of the connection. */
  readonly onChange: () => void
  readonly signal: AbortSignal
  /** Milliseconds between two checks whether the API server answers. */
  readonly pulseMs?: number
  /** Pods that are followed. */
  readonly maxPods?: number
}

export interface ClusterWatch {
  /** By namespace and name, reduced; without those that have ended. */
  readonly pods: ReadonlyMap<string, KubeObject>
  /** Grows with each change of a pod. */
  version(): number
  isSynced(): boolean
  /** Milliseconds since 1970; null while the API server answers. */
  awaySince(): number | null
  /** Why pods cannot be followed; null if they are. */
  problem(): string | null
  /** How many pods are beyond the limit. */
  leftOut(): number
}

/** Four times the 5,000 pods that Kubernetes supports on 45 nodes; with 3 kB each they take 60 MB. */
const defaultMaxPods = 20_000

/** Characters of a pod as JSON. A tenant's pod can have megabytes of labels and images. */
const maxPodLength = 64 * 1024

const defaultPulseMs = 5_000

/** Starts to follow the pods, until the signal aborts. Never throws. */
export function watchCluster(options: ClusterWatchOptions): ClusterWatch {
  const { api, namespace, onChange, signal, maxPods = defaultMaxPods } = options
  const leftOut = new Set<string>()
  let isSynced = false
  let version = 0
  let problem: string | null = null
  const informer: Informer<KubeObject> = startInformer<KubeObject, KubeObject>(api, {
    ref: { apiVersion: 'v1', resource: 'pods', ...(namespace === undefined ? {} : { namespace }) },
    transform: (pod): KubeObject | null => {
      const key = namespacedName(pod)
      const hasRoom = informer.items.has(key) || informer.items.size < maxPods
      const reduced = hasRoom && !hasEnded(pod) ? reducePod(pod) : null
      const isKept = reduced !== null && JSON.stringify(reduced).length <= maxPodLength
      if (isKept || hasEnded(pod)) leftOut.delete(key)
      else if (leftOut.size < maxPods) leftOut.add(key)
      return isKept ? reduced : null
    },
    onChange: () => {
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
    await informer.synced
    isSynced = true
    problem = null
    onChange()
  }
  // It rejects only when the signal aborts.
  waitForList().catch(() => undefined)
  const pulse = watchPulse(options)
  return {
    pods: informer.items,
    version: () => version,
    isSynced: () => isSynced,
    awaySince: pulse,
    problem: () => problem,
    leftOut: () => leftOut.size,
  }
}

/** Polls the version endpoint. Returns a function that returns since when the API server has not answered. */
function watchPulse({
  api,
  onChange,
  signal,
  pulseMs = defaultPulseMs,
}: ClusterWatchOptions): () => number | null {
  let awaySince: number | null = null
  const run = async () => {
    while (!signal.aborted) {
      const asked = Date.now()
      const isAway = !(await answers(api, pulseMs))
      if (isAway !== (awaySince !== null)) {
        awaySince = isAway ? asked : null
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

/** Any status counts as an answer, also 403. */
async function answers(api: KubeApi, timeoutMs: number): Promise<boolean> {
  try {
    await api.getRaw('/version', AbortSignal.timeout(timeoutMs))
    return true
  } catch (error) {
    return error instanceof KubeError && error.status !== null && error.status < 500
  }
}
