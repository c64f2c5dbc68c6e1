import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ClusterWatch, followPodsOf, watchCluster } from '../../src/console/cluster-watch.ts'
import { type ConsolePod, consolePod } from '../support/console-cluster.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'

let kube: FakeKube
let stop: AbortController

beforeEach(() => {
  kube = startFakeKube()
  stop = new AbortController()
})

afterEach(() => stop.abort())

const put = (name: string, more: Partial<ConsolePod> = {}) =>
  kube.put('pods', consolePod({ name, namespace: 'shop', image: 'nginx:1', ...more }))

const namesOf = (watch: ClusterWatch) => [...watch.pods()].map(({ metadata: { name } }) => name)

async function start(limits = { pods: 100, length: 1_000_000 }): Promise<ClusterWatch> {
  const watch = watchCluster({
    api: kube.api,
    followPods: followPodsOf(kube.api, undefined),
    isWatched: () => false,
    onChange: () => undefined,
    signal: stop.signal,
    limits,
  })
  await vi.waitFor(() => expect(watch.isSynced()).toBe(true))
  await vi.waitFor(() => expect(kube.watches).toHaveLength(1))
  return watch
}

describe('watchCluster', () => {
  it('counts a pod that is left out only while it exists and is too large', async () => {
    put('a', { app: 'x'.repeat(70_000) })
    put('b', { app: 'x'.repeat(70_000) })
    const watch = await start()

    expect(watch.leftOut()).toBe(2)
    kube.drop('pods', 'a', 'shop')
    await vi.waitFor(() => expect(watch.leftOut()).toBe(1))
    put('b')
    await vi.waitFor(() => expect(watch.leftOut()).toBe(0))
    expect(namesOf(watch)).toEqual(['b'])
  })

  it('follows as many pods as the limits allow, and another one when there is room again', async () => {
    for (const name of ['a', 'b', 'c']) put(name)
    const watch = await start({ pods: 2, length: 1_000_000 })

    expect(namesOf(watch)).toEqual(['a', 'b'])
    expect(watch.leftOut()).toBe(1)
    kube.drop('pods', 'a', 'shop')
    put('c')
    await vi.waitFor(() => expect(namesOf(watch)).toEqual(['b', 'c']))
    expect(watch.leftOut()).toBe(0)
  })

  it('keeps no more than the characters of the limit, also when pods grow', async () => {
    for (const name of ['a', 'b', 'c']) put(name, { app: 'x'.repeat(5_000) })
    const watch = await start({ pods: 100, length: 34_000 })

    expect(namesOf(watch)).toEqual(['a', 'b'])
    put('b', { app: 'x'.repeat(10_000) })
    await vi.waitFor(() => expect(watch.leftOut()).toBe(2))
    expect(namesOf(watch)).toEqual(['a'])
  })
})
