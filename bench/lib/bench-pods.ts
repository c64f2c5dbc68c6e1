/** Pods by the hundred, each checked for having gone through the webhook of its namespace, and away again. */
import { waitFor } from '../../e2e/harness/wait.ts'
import type { KubeClient } from './kube-client.ts'
import { mirrorHost } from './reviews.ts'

export interface PodBatch {
  readonly namespace: string
  readonly count: number
  readonly concurrency: number
  /** Null: all pods have one image. Else a name from which each gets an image of its own. */
  readonly distinct: string | null
}

export interface Created {
  readonly seconds: number
  /** Milliseconds from request to answer, one for each pod. */
  readonly latencies: readonly number[]
}

let serial = 0

/** Throws when a pod comes back with an image that its namespace's webhook should or should not have rewritten. */
export async function createPods(client: KubeClient, batch: PodBatch): Promise<Created> {
  const { namespace, count, concurrency } = batch
  const rewritten = ['bench-berth', 'bench-fixed'].includes(namespace)
  const latencies: number[] = []
  let next = 0
  const worker = async () => {
    while (next < count) {
      const pod = podOf(batch, next++)
      const before = performance.now()
      const answer = await client.send('POST', `/api/v1/namespaces/${namespace}/pods`, pod)
      latencies.push(performance.now() - before)
      if (answer.includes(`"image":"${mirrorHost}/`) !== rewritten)
        throw new Error(`${namespace}: ${rewritten ? 'not rewritten' : 'rewritten'}: ${answer}`)
    }
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: concurrency }, worker))
  return { seconds: (performance.now() - started) / 1000, latencies }
}

/** Deletes them at once, since nothing runs, and returns when none is left. */
export async function deletePods(client: KubeClient, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`
  await client.send('DELETE', `${path}?gracePeriodSeconds=0`)
  await waitFor(`no pods in ${namespace}`, async () => {
    const { items } = JSON.parse(await client.send('GET', `${path}?limit=1`)) as {
      items: unknown[]
    }
    return items.length === 0
  })
}

function podOf({ distinct }: PodBatch, index: number): object {
  const image = distinct === null ? 'team/app:1.0.0' : `team/${distinct}-${index}:1.0.0`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `pod-${serial++}` },
    spec: {
      schedulerName: 'none',
      containers: [{ name: 'main', image }],
    },
  }
}
