import { describe, expect, it } from 'vitest'
import { hasStatus } from '../../src/kube/error.ts'
import { evictPod } from '../../src/kube/evict.ts'
import { startFakeKube } from '../support/fake-kube.ts'

const pod = { namespace: 'shop', name: 'web', uid: 'one' }

function startWith(uid: string) {
  const kube = startFakeKube()
  kube.put('pods', { metadata: { ...pod, uid } })
  return kube
}

describe('evictPod', () => {
  it('evicts the pod with the UID', async () => {
    const kube = startWith('one')

    expect(await evictPod(kube.api, pod)).toBe(true)
    expect(kube.get('pods', 'web', 'shop')).toBeNull()
  })

  it('leaves another pod with the same name alone', async () => {
    const kube = startWith('another')

    expect(await evictPod(kube.api, pod)).toBe(false)
    expect(kube.get('pods', 'web', 'shop')).not.toBeNull()
  })

  it('returns false for a pod that does not exist', async () => {
    expect(await evictPod(startFakeKube().api, pod)).toBe(false)
  })

  it('throws 429 when a PodDisruptionBudget does not allow it', async () => {
    const kube = startWith('one')
    kube.refuse('pods shop/web', 429)
    const error: unknown = await evictPod(kube.api, pod).catch((thrown: unknown) => thrown)

    expect(hasStatus(error, 429)).toBe(true)
  })
})
