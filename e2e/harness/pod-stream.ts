/** A steady stream of pods, really created and deleted, over connections that stay open. No node ever runs one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../src/kube/connect.ts'
import { currentCluster } from './cluster.ts'
import { podManifest } from './pods.ts'

export type StreamCount = {
  created: number
  failures: { at: number; problem: string }[]
  /** Milliseconds. */
  longest: number
  seconds: number
}

export type PodStream = {
  /** What happened since the last time that this was asked. */
  take(): StreamCount
  /** Ends it, and gives the last of the count. */
  stop(): Promise<StreamCount>
}

/** As many as an API server has answers for at once, of a client that waits for each. */
const workers = 10

/** Creates pods of these images in turn, `perSecond` of them if the machine bears it, until it is stopped. */
export async function startPodStream(
  images: readonly string[],
  { perSecond = 40, namespace = 'default' } = {},
): Promise<PodStream> {
  const cluster = await connect({ kubeconfig: currentCluster().kubeconfig, env: {} })
  const pods = { apiVersion: 'v1', resource: 'pods', namespace }
  const end = new AbortController()
  let count = empty()
  let next = performance.now()
  let number = 0

  async function createOne(): Promise<void> {
    number += 1
    const name = `stream-${number}`
    const pod = podManifest({ name, namespace, image: images[number % images.length] ?? '' })
    // A scheduler that nobody runs: the pod stays what the API server made of it.
    const spec = { ...(pod['spec'] as object), schedulerName: 'nobody' }
    const begun = performance.now()
    try {
      await cluster.api.create(pods, { ...pod, spec })
      count.created += 1
      count.longest = Math.max(count.longest, performance.now() - begun)
    } catch (error) {
      count.failures.push({ at: performance.now(), problem: String(error) })
      return
    }
    await cluster.api.delete({ ...pods, name })
  }

  async function work(): Promise<void> {
    while (!end.signal.aborted) {
      // One clock for all workers; who is late does not hurry to make up for it.
      next = Math.max(next + 1_000 / perSecond, performance.now())
      await sleep(Math.max(next - performance.now(), 0))
      await createOne()
    }
  }

  const running = Array.from({ length: workers }, work)
  const take = () => {
    const { begun, ...taken } = count
    count = empty()
    return { ...taken, seconds: (performance.now() - begun) / 1_000 }
  }
  return {
    take,
    stop: async () => {
      end.abort()
      await Promise.all(running)
      await cluster.close()
      return take()
    },
  }
}

function empty() {
  return {
    created: 0,
    failures: [] as StreamCount['failures'],
    longest: 0,
    begun: performance.now(),
  }
}
