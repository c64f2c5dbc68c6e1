import { describe, expect, it } from 'vitest'
import type { KubeObject } from '../../src/kube/object.ts'
import { listRunningImages } from '../../src/report/inventory.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'

function pod(name: string, images: readonly string[], more: object = {}): KubeObject {
  const containers = images.map((image, index) => ({ name: `c${index}`, image }))
  return { metadata: { name, namespace: 'shop' }, spec: { containers }, ...more } as KubeObject
}

async function running({ api }: FakeKube, namespace?: string) {
  const images = await listRunningImages(api, {
    namespace,
    podKey: () => '',
    findMode: () => ({ mode: 'enforce' }),
  })
  return images.map(({ image, namespace, runs, pods }) => ({ image, namespace, runs, pods }))
}

describe('listRunningImages', () => {
  it('counts pods by namespace and image, and an image once for each pod', async () => {
    const kube = startFakeKube()
    kube.put('pods', pod('one', ['nginx:1', 'nginx:1', 'redis:7']))
    kube.put('pods', pod('two', ['nginx:1']))
    kube.put('pods', {
      ...pod('three', ['nginx:1']),
      metadata: { name: 'three', namespace: 'web' },
    })

    expect(await running(kube)).toEqual([
      { image: 'nginx:1', namespace: 'shop', runs: ['nginx:1'], pods: 2 },
      { image: 'redis:7', namespace: 'shop', runs: ['redis:7'], pods: 1 },
      { image: 'nginx:1', namespace: 'web', runs: ['nginx:1'], pods: 1 },
    ])
    expect(await running(kube, 'web')).toHaveLength(1)
  })

  it('skips pods that have ended', async () => {
    const kube = startFakeKube()
    kube.put('pods', pod('done', ['nginx:1'], { status: { phase: 'Succeeded' } }))
    kube.put('pods', pod('failed', ['nginx:1'], { status: { phase: 'Failed' } }))

    expect(await running(kube)).toEqual([])
  })
})
