/** A steady stream of pods that are created and deleted over open connections. No node runs them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../src/kube/connect.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { currentCluster, podStreamNamespace } from './cluster.ts'
import { createNamespace } from './kubectl.ts'
import { type Pod, podManifest } from './pods.ts'
import { waitFor } from './wait.ts'

export type StreamCount = {
  created: number
  /** `from` and `at`: when the request was sent and when it failed, by `performance.now()`. */
  failures: { from: number; at: number; problem: string }[]
  /** The longest creation, in milliseconds. */
  longestMs: number
  seconds: number
}

export type PodStream = {
  /** Returns the counts since the last call and starts again at zero. */
  takeCount(): StreamCount
  /** Waits until so many more pods have been created. */
  waitForPods(count: number): Promise<void>
  /** Stops the stream and returns the counts since the last call. */
  stop(): Promise<StreamCount>
}

/** Requests at the same time. */
const workers = 10

/** Creates pods with each of the images in turn, `perSecond` of them if the machine is fast enough. */
export async function startPodStream(
  images: readonly string[],
  {
    perSecond = 40,
    onCreated = () => undefined,
  }: {
    readonly perSecond?: number
    /** Receives each pod as the API server created it, and the time of the request by `performance.now()`. */
    readonly onCreated?: (pod: Pod, at: number) => void
  } = {},
): Promise<PodStream> {
  const namespace = podStreamNamespace
  await createNamespace(namespace)
  const cluster = await connect({ kubeconfig: currentCluster().kubeconfig, env: {} })
  const pods = { apiVersion: 'v1', resource: 'pods', namespace }
  const stopped = new AbortController()
  let count = emptyCount()
  let total = 0
  let next = performance.now()
  let serial = 0

  async function createAndDelete(): Promise<void> {
    serial += 1
    const name = `stream-${serial}`
    const pod = podManifest({ name, namespace, image: images[serial % images.length] ?? '' })
    // A scheduler that does not exist, so that no node runs the pod.
    const spec = { ...(pod['spec'] as object), schedulerName: 'none' }
    const started = performance.now()
    try {
      onCreated(await cluster.api.create<Pod & KubeObject>(pods, { ...pod, spec }), started)
      total += 1
      count.created += 1
      count.longestMs = Math.max(count.longestMs, performance.now() - started)
    } catch (error) {
      count.failures.push({ from: started, at: performance.now(), problem: String(error) })
      return
    }
    await cluster.api.delete({ ...pods, name })
  }

  async function work(): Promise<void> {
    while (!stopped.signal.aborted) {
      // One schedule for all workers. A late pod does not make the next ones come faster.
      next = Math.max(next + 1_000 / perSecond, performance.now())
      await sleep(Math.max(next - performance.now(), 0))
      await createAndDelete()
    }
  }

  const running = Array.from({ length: workers }, work)
  const takeCount = () => {
    const { started, ...taken } = count
    count = emptyCount()
    return { ...taken, seconds: (performance.now() - started) / 1_000 }
  }
  return {
    takeCount,
    waitForPods: async (more) => {
      const target = total + more
      await waitFor(`${more} more pods of the stream`, () => total >= target)
    },
    stop: async () => {
      stopped.abort()
      await Promise.all(running)
      await cluster.close()
      return takeCount()
    },
  }
}

function emptyCount() {
  return {
    created: 0,
    failures: [] as StreamCount['failures'],
    longestMs: 0,
    started: performance.now(),
  }
}
