/** Creates pods, checks that the webhook of their namespace rewrote each of them or did not, and deletes them. */
import { waitFor } from '../../e2e/harness/wait.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeClient } from './kube-client.ts'
import { mirrorHost } from './reviews.ts'

export interface PodBatch {
  readonly namespace: string
  readonly count: number
  readonly concurrency: number
  /** Pods per second, each created without waiting for the one before. Null: as fast as `concurrency` allows. */
  readonly perSecond: number | null
  /** Null: all pods have the same image. Otherwise the prefix of a different image for each pod. */
  readonly distinct: string | null
}

export interface Created {
  readonly seconds: number
  /** The latency of each pod's creation, in milliseconds. */
  readonly latencies: readonly number[]
}

let serial = 0

/** Throws if the image of a created pod is rewritten, or not rewritten, against what its namespace expects. */
export async function createPods(client: KubeClient, batch: PodBatch): Promise<Created> {
  const { namespace, count, concurrency, perSecond } = batch
  const rewritten = ['bench-berth', 'bench-fixed'].includes(namespace)
  const latencies: number[] = []
  const create = async (index: number) => {
    const pod = podOf(batch, index)
    const before = performance.now()
    const answer = await client.send('POST', `/api/v1/namespaces/${namespace}/pods`, pod)
    latencies.push(performance.now() - before)
    if (answer.includes(`"image":"${mirrorHost}/`) !== rewritten)
      throw new Error(`${namespace}: ${rewritten ? 'not rewritten' : 'rewritten'}: ${answer}`)
  }
  const share = async (worker: number) => {
    for (let index = worker; index < count; index += concurrency) await create(index)
  }
  const started = performance.now()
  if (perSecond === null)
    await Promise.all(Array.from({ length: concurrency }, (_, worker) => share(worker)))
  else await createPaced(create, { count, perSecond })
  return { seconds: (performance.now() - started) / 1000, latencies }
}

/** Starts the creations at a steady rate, also while earlier ones wait, as many clients do. */
async function createPaced(
  create: (index: number) => Promise<void>,
  { count, perSecond }: { readonly count: number; readonly perSecond: number },
): Promise<void> {
  const started = performance.now()
  const createAt = async (index: number) => {
    await sleep(Math.max(0, started + (index * 1_000) / perSecond - performance.now()))
    await create(index)
  }
  await Promise.all(Array.from({ length: count }, (_, index) => createAt(index)))
}

/** Deletes the pods without a grace period, because they do not run, and returns when all are gone. */
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
