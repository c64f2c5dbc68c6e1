import { applyPatch, type Operation } from 'fast-json-patch'
import { describe, expect, it } from 'vitest'
import {
  type AccountState,
  type ServiceAccountObject,
  readAccount,
} from '../../src/pull-secrets/objects.ts'
import {
  type LinkChange,
  serviceAccountPatch,
} from '../../src/pull-secrets/service-account-patch.ts'

const linkedBy = { 'berth.dev/linked-pull-secrets': 'pull' }
const noChange: LinkChange = { add: [], remove: [], isManaged: true }

function stateOf(account: ServiceAccountObject): AccountState {
  const state = readAccount(account)
  if (state === null) throw new Error('the account is being deleted')
  return state
}

describe('serviceAccountPatch', () => {
  const openshift = {
    metadata: {
      name: 'builder',
      uid: 'u',
      resourceVersion: '5',
      annotations: { 'openshift.io/internal-registry-pull-secret-ref': 'builder-dockercfg-abcde' },
    },
    secrets: [{ name: 'builder-dockercfg-abcde' }],
    imagePullSecrets: [{ name: 'builder-dockercfg-abcde' }],
  }

  function patched(
    account: ServiceAccountObject,
    change: Partial<LinkChange>,
  ): ServiceAccountObject {
    const state = stateOf(account)
    const patch = serviceAccountPatch(state, { ...noChange, ...change })
    return applyPatch(structuredClone(account), patch as Operation[], true).newDocument
  }

  it('appends a name after those of others, and removes only that name', () => {
    const linked = patched(openshift, { add: ['pull'] })

    expect(linked).toEqual({
      ...openshift,
      metadata: {
        ...openshift.metadata,
        annotations: { ...openshift.metadata.annotations, ...linkedBy },
      },
      imagePullSecrets: [{ name: 'builder-dockercfg-abcde' }, { name: 'pull' }],
    })
    expect(patched(linked, { remove: ['pull'] })).toEqual(openshift)
  })

  it.each<[string, ServiceAccountObject['imagePullSecrets'], { name: string }[]]>([
    ['no list', undefined, [{ name: 'pull' }]],
    ['an empty list', [], [{ name: 'pull' }]],
    [
      'an entry without a name',
      [{ name: '' }, { name: 'b' }],
      [{ name: '' }, { name: 'b' }, { name: 'pull' }],
    ],
  ])('adds a name to an account with %s', (_, list, want) => {
    const metadata = { name: 'a', uid: 'u', resourceVersion: '5' }
    const account = list === undefined ? { metadata } : { metadata, imagePullSecrets: list }

    expect(patched(account, { add: ['pull'] })).toMatchObject({
      imagePullSecrets: want,
      metadata: { annotations: linkedBy },
    })
  })

  it('removes several names at any position', () => {
    const account = {
      metadata: {
        name: 'a',
        uid: 'u',
        resourceVersion: '5',
        annotations: { 'berth.dev/linked-pull-secrets': 'p,q' },
      },
      imagePullSecrets: [{ name: 'p' }, { name: 'own' }, { name: 'q' }, { name: 'p' }],
    }

    expect(patched(account, { remove: ['p', 'q'] })).toMatchObject({
      imagePullSecrets: [{ name: 'own' }],
    })
  })

  it('does not apply to an account that has changed', () => {
    const state = stateOf(openshift)
    const changed = { ...openshift, metadata: { ...openshift.metadata, resourceVersion: '6' } }
    const patch = serviceAccountPatch(state, { ...noChange, add: ['x'] })

    expect(() => applyPatch(changed, patch as Operation[], true)).toThrow(/Test operation failed/)
  })

  it('leaves the annotation alone when Berth does not manage the link', () => {
    const linked = patched(openshift, { add: ['pull'], isManaged: false })

    expect(linked.imagePullSecrets).toContainEqual({ name: 'pull' })
    expect(linked.metadata.annotations).toEqual(openshift.metadata.annotations)
  })
})
