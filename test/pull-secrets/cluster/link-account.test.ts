import { describe, expect, it } from 'vitest'
import { hasStatus } from '../../../src/kube/error.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { linkAccount } from '../../../src/pull-secrets/cluster/link-account.ts'
import { startFakeKube } from '../../support/fake-kube.ts'

type Account = KubeObject & { readonly imagePullSecrets?: readonly { readonly name: string }[] }

const account = { namespace: 'shop', name: 'default' }
const addPull = { add: ['pull'], remove: [], isManaged: true }

function startWith(object: Partial<Account> = {}) {
  const kube = startFakeKube()
  const put = (more: Partial<Account>) =>
    kube.put('serviceaccounts', { ...more, metadata: { ...account, ...more.metadata } })
  put(object)
  const stored = () => kube.get('serviceaccounts', 'default', 'shop') as Account
  return { kube, put, stored }
}

describe('linkAccount', () => {
  it('reads the account, and appends the secret', async () => {
    const { kube, stored } = startWith({ imagePullSecrets: [{ name: 'other' }] })
    const { hasChanged } = await linkAccount(kube.api, account, addPull)

    expect(hasChanged).toBe(true)
    expect(stored().imagePullSecrets).toEqual([{ name: 'other' }, { name: 'pull' }])
  })

  it('writes nothing when the secret is linked already', async () => {
    const { kube } = startWith({ imagePullSecrets: [{ name: 'pull' }] })
    const { hasChanged } = await linkAccount(kube.api, account, addPull)

    expect(hasChanged).toBe(false)
    expect(kube.writes).toEqual([])
  })

  it('returns null for an account that does not exist', async () => {
    const result = await linkAccount(startFakeKube().api, account, addPull)

    expect(result).toEqual({ hasChanged: false, account: null })
  })

  it('keeps what another client writes meanwhile', async () => {
    const { kube, put, stored } = startWith()
    let writes = 0
    const beforeWrite = () => {
      writes += 1
      if (writes < 3) put({ imagePullSecrets: [{ name: `theirs-${writes}` }] })
      return Promise.resolve()
    }
    await linkAccount(kube.api, account, addPull, { beforeWrite })

    expect(writes).toBe(3)
    expect(stored().imagePullSecrets).toEqual([{ name: 'theirs-2' }, { name: 'pull' }])
  })

  it('throws after ten attempts', async () => {
    const { kube, put } = startWith()
    const beforeWrite = () => Promise.resolve(void put({}))
    const error: unknown = await linkAccount(kube.api, account, addPull, { beforeWrite }).catch(
      (thrown: unknown) => thrown,
    )

    expect(hasStatus(error, 422)).toBe(true)
    expect(kube.writes).toHaveLength(10)
  })

  it('removes only a name that Berth added', async () => {
    const annotations = { 'berth.dev/linked-pull-secrets': 'pull' }
    const imagePullSecrets = [{ name: 'pull' }, { name: 'theirs' }]
    const { kube, stored } = startWith({ metadata: { ...account, annotations }, imagePullSecrets })
    const change = { add: [], remove: ['pull', 'theirs'], isManaged: true }
    await linkAccount(kube.api, account, change)

    expect(stored().imagePullSecrets).toEqual([{ name: 'theirs' }])
  })
})
