import { describe, expect, it } from 'vitest'
import type { KubeObject } from '../../src/kube/object.ts'
import { readAdmissionModes } from '../../src/report/admission-mode.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'

const namespaces = {
  shop: {},
  trial: { 'berth.dev/mode': 'observe' },
  'opted-out': { 'berth.dev/rewrite': 'disabled' },
  'opted-in': { 'berth.dev/rewrite': 'enabled' },
  'kube-system': {},
  'berth-system': {},
}

function cluster(): FakeKube {
  const kube = startFakeKube()
  for (const [name, labels] of Object.entries(namespaces))
    kube.put('namespaces', { metadata: { name, labels } })
  return kube
}

function install(kube: FakeKube, webhooks: readonly object[]): void {
  kube.put('mutatingwebhookconfigurations', {
    metadata: { name: 'berth' },
    webhooks,
  } as unknown as KubeObject)
}

async function modes(kube: FakeKube): Promise<Record<string, string>> {
  const find = await readAdmissionModes(kube.api, 'berth-system')
  return Object.fromEntries(
    Object.keys(namespaces).map((namespace) => [
      namespace,
      find({ metadata: { name: 'pod', namespace } }).mode,
    ]),
  )
}

describe('readAdmissionModes', () => {
  it('uses the selectors of the shipped configuration in a cluster without Berth', async () => {
    expect(await modes(cluster())).toEqual({
      shop: 'enforce',
      trial: 'observe',
      'opted-out': 'out',
      'opted-in': 'enforce',
      'kube-system': 'out',
      'berth-system': 'out',
    })
  })

  it('uses the selectors of the installed configuration', async () => {
    const kube = cluster()
    const isOptedIn = { key: 'berth.dev/rewrite', operator: 'In', values: ['enabled'] }
    install(kube, [
      { name: 'other.example', namespaceSelector: {} },
      { name: 'mutate.berth.dev', namespaceSelector: { matchExpressions: [isOptedIn] } },
    ])

    expect(await modes(kube)).toMatchObject({ shop: 'out', 'opted-in': 'enforce' })
  })

  it('finds pods that the objectSelector excludes', async () => {
    const kube = cluster()
    install(kube, [{ name: 'mutate.berth.dev', objectSelector: { matchLabels: { tier: 'web' } } }])
    const find = await readAdmissionModes(kube.api, 'berth-system')
    const pod = (labels: Record<string, string>) =>
      find({ metadata: { name: 'pod', namespace: 'shop', labels } })

    expect([pod({ tier: 'web' }).mode, pod({}).mode]).toEqual(['enforce', 'out'])
  })

  it('finds static pods', async () => {
    const find = await readAdmissionModes(cluster().api, 'berth-system')
    const annotations = { 'kubernetes.io/config.mirror': 'hash' }

    expect(find({ metadata: { name: 'pod', namespace: 'shop', annotations } })).toEqual({
      mode: 'out',
      why: 'a static pod, which no webhook can change',
    })
  })
})
