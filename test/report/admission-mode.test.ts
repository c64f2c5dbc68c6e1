import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { KubeObject } from '../../src/kube/object.ts'
import { readAdmissionMode, readAdmissionModes } from '../../src/report/admission-mode.ts'
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
  const { find } = await readAdmissionModes(kube.api, 'berth-system')
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
    const { find, enforces } = await readAdmissionModes(kube.api, 'berth-system')
    const pod = (labels: Record<string, string>) =>
      find({ metadata: { name: 'pod', namespace: 'shop', labels } })

    expect([enforces('shop'), enforces('kube-system')]).toEqual([true, true])
    expect([pod({ tier: 'web' }).mode, pod({}).mode]).toEqual(['enforce', 'out'])
  })

  const read = (path: string) =>
    parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))
  const { webhooks: shipped } = read('webhook-config/mutating-webhook.yaml') as {
    webhooks: { matchConditions: object[] }[]
  }
  const openshift = read('deploy/components/openshift/kustomization.yaml') as {
    patches: { patch: string }[]
  }
  const platform = openshift.patches
    .flatMap(({ patch }) => parse(patch) as { path: string; value: object }[])
    .find(({ path }) => path === '/webhooks/0/matchConditions/-')

  it('evaluates the match conditions that Berth ships', async () => {
    const kube = cluster()
    const withPlatform = shipped.map((webhook) => ({
      ...webhook,
      matchConditions: [...webhook.matchConditions, platform?.value],
    }))
    install(kube, withPlatform)
    const { find } = await readAdmissionModes(kube.api, 'berth-system')
    const modeIn = (namespace: string) => find({ metadata: { name: 'pod', namespace } }).mode

    expect(['shop', 'trial', 'openshift-etcd'].map(modeIn)).toEqual(['enforce', 'observe', 'out'])
  })

  it('does not know which pods a webhook with other match conditions sees', async () => {
    const kube = cluster()
    const condition = { name: 'own', expression: "!request.namespace.startsWith('rook-')" }
    install(
      kube,
      shipped.map((webhook) => ({
        ...webhook,
        matchConditions: [...webhook.matchConditions, condition],
      })),
    )

    expect(await modes(kube)).toMatchObject({ shop: 'unknown', 'opted-out': 'out' })
  })

  it('sees no pod in a registration without webhooks', async () => {
    const kube = cluster()
    install(kube, [])

    expect(await modes(kube)).toMatchObject({ shop: 'out' })
  })

  it('finds static pods', async () => {
    const { find } = await readAdmissionModes(cluster().api, 'berth-system')
    const annotations = { 'kubernetes.io/config.mirror': 'hash' }

    expect(find({ metadata: { name: 'pod', namespace: 'shop', annotations } })).toEqual({
      mode: 'out',
      why: 'a static pod, which no webhook can change',
    })
  })
})

describe('readAdmissionMode', () => {
  const pod = { metadata: { name: 'pod', namespace: 'shop' } }

  it('sees no pod in a cluster without a registration', async () => {
    expect(await readAdmissionMode(cluster().api, pod)).toEqual({
      mode: 'out',
      why: 'no webhook of Berth is registered',
    })
  })

  it('uses the labels that the namespace has now', async () => {
    const kube = cluster()
    const isIn = { key: 'berth.dev/rewrite', operator: 'NotIn', values: ['disabled'] }
    install(kube, [{ name: 'mutate.berth.dev', namespaceSelector: { matchExpressions: [isIn] } }])
    expect(await readAdmissionMode(kube.api, pod)).toEqual({ mode: 'enforce' })
    kube.put('namespaces', { metadata: { name: 'shop', labels: namespaces['opted-out'] } })

    expect((await readAdmissionMode(kube.api, pod)).mode).toBe('out')
  })
})
