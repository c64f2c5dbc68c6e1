import { describe, expect, it } from 'vitest'
import { readConfig } from '../../../src/config/load.ts'
import { createEnsureCopies } from '../../../src/webhook/admission/copy-provisioner.ts'
import { KubeError } from '../../../src/kube/error.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { planNamespace } from '../../../src/pull-secrets/plan.ts'
import { readContent } from '../../../src/pull-secrets/content.ts'
import { type RawSecret, readCopy, readSourceSecret } from '../../../src/pull-secrets/objects.ts'
import { startFakeKube } from '../../support/fake-kube.ts'

const log = { info: () => undefined, warn: () => undefined }
const now = new Date('2026-01-02T03:04:05Z')
const encode = (text: string) => Buffer.from(text).toString('base64')

function copiesOf(more = '') {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  copies:
    - { name: pull, from: [home/src], namespaces: ['app*'], ensure: true${more} }
    - { name: lazy, from: [home/src], namespaces: ['app*'] }
`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.config.pullSecretCopies.copies
}

function secretOf(
  more: Partial<KubeObject['metadata']> = {},
  password = 'p',
): KubeObject & RawSecret {
  const auths = { 'x.io': { auth: encode(`u:${password}`) } }
  return {
    metadata: {
      name: 'src',
      namespace: 'home',
      uid: 'source-uid',
      labels: { 'berth.dev/copy': 'allowed' },
      ...more,
    },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': encode(JSON.stringify({ auths })) },
  }
}

function scene(source: KubeObject | null = secretOf()) {
  const kube = startFakeKube()
  if (source !== null) kube.put('secrets', source)
  const read: string[] = []
  const api: typeof kube.api = {
    ...kube.api,
    get: (where, options) => {
      read.push(
        `${where.resource} ${where.name}${options?.metadataOnly === true ? ' (metadata)' : ''}`,
      )
      return kube.api.get(where, options)
    },
  }
  const make = (name: string, labels = {}) =>
    kube.put('namespaces', { metadata: { name, uid: `uid of ${name}`, labels } })
  make('app')
  const of = createEnsureCopies({ api, log, now: () => now }, copiesOf())
  const ensure = (namespace: string, secret = 'pull', { signal } = new AbortController()) =>
    of.ensure(namespace, secret, signal)
  return { kube, api, read, make, of, ensure }
}

describe('a copy that is made sure of', () => {
  it('is what the controller makes: there is nothing left for it to do', async () => {
    const { kube, ensure } = scene()

    expect(await ensure('app')).toBe('there')
    const there = readCopy(kube.get('secrets', 'pull', 'app') ?? secretOf())
    const [copy] = copiesOf()
    if (copy === undefined) throw new Error('no copy')
    const content = readContent(copy, () => readSourceSecret(secretOf()))
    const { writes } = planNamespace([{ settings: copy, content }], {
      name: 'app',
      namespace: { labels: {}, terminating: false, resourceVersion: '1' },
      accounts: new Map(),
      secrets: new Map([['pull', there]]),
    })
    expect(there.kind).toBe('copy')
    expect(writes).toEqual([])
  })

  it('takes one request to create it, however many pods ask at once, and none after that', async () => {
    const { kube, read, ensure } = scene()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => ensure('app')))
    await ensure('app')

    expect(new Set(outcomes)).toEqual(new Set(['there']))
    expect(kube.writes.map(({ verb, about }) => `${verb} ${about}`)).toEqual([
      'create secrets app/pull',
    ])
    expect(read).toEqual(['namespaces app (metadata)', 'secrets src'])
  })

  it('is left alone when a secret of the name is there, whosever it is', async () => {
    const { kube, ensure } = scene()
    const foreign = kube.put('secrets', { metadata: { name: 'pull', namespace: 'app' } })

    expect(await ensure('app')).toBe('there')
    expect(kube.get('secrets', 'pull', 'app')).toEqual(foreign)
  })

  it.each([
    ['another', 'other', {}],
    ['one that opts out', 'app2', { 'berth.dev/pull-secrets': 'disabled' }],
  ])('is not for %s namespace: its source is not even read', async (_, name, labels) => {
    const { kube, read, make, ensure } = scene()
    make(name, labels)

    expect(await ensure(name)).toBe('elsewhere')
    expect(kube.writes).toEqual([])
    expect(read).toEqual([`namespaces ${name} (metadata)`])
  })

  it.each([
    ['is not there', null],
    ['does not consent', secretOf({ labels: {} })],
    ['has an entry that no kubelet reads', secretOf({}, '')],
    ['has ended', secretOf({ annotations: { 'berth.dev/expires-at': '2026-01-02T03:04:04Z' } })],
  ])('is not made of a source that %s', async (_, source) => {
    const { kube, ensure } = scene(source)

    expect(await ensure('app')).toBe('failed')
    expect(kube.writes).toEqual([])
  })

  it('is not made in a namespace that is not there, as a forged review may name', async () => {
    const { kube, ensure } = scene()

    expect(await ensure('apparition')).toBe('failed')
    expect(kube.writes).toEqual([])
  })

  it.each([403, 409, 500])(
    'failed when the API server answers %d without its being there',
    async (status) => {
      const { kube, ensure } = scene()
      kube.refuse('secrets app/pull', status)

      expect(await ensure('app')).toBe('failed')
    },
  )

  it('is none of those that do not say so', async () => {
    const { kube, of, ensure } = scene()

    expect([of.covers('pull'), of.covers('lazy'), of.covers('x')]).toEqual([true, false, false])
    expect(await ensure('app', 'lazy')).toBe('elsewhere')
    expect(kube.writes).toEqual([])
  })
})

describe('time that runs out', () => {
  it('ends the waiting and not the work: it is there for the next pod', async () => {
    const { kube, api } = scene()
    const slow = Promise.withResolvers<void>()
    const of = createEnsureCopies(
      {
        api: {
          ...api,
          get: async (where, options) => (await slow.promise, api.get(where, options)),
        },
        log,
        now: () => now,
      },
      copiesOf(),
    )
    const budget = new AbortController()
    const first = of.ensure('app', 'pull', budget.signal)
    budget.abort()

    expect(await first).toBe('failed')
    const second = of.ensure('app', 'pull', new AbortController().signal)
    slow.resolve()
    expect(await second).toBe('there')
    expect(kube.writes).toHaveLength(1)
  })

  it('has run out already: nothing is waited for', async () => {
    const never = new Promise<never>(() => undefined)
    const { api } = scene()
    const dependencies = { api: { ...api, get: () => never }, log, now: () => now }

    expect(
      await createEnsureCopies(dependencies, copiesOf()).ensure('app', 'pull', AbortSignal.abort()),
    ).toBe('failed')
  })
})

it('never rejects, whatever breaks', async () => {
  const { api } = scene()
  const broken = () => Promise.reject(new KubeError(null, '', 'no answer'))
  const dependencies = { api: { ...api, get: broken }, log, now: () => now }
  const of = createEnsureCopies(dependencies, copiesOf())

  expect(await of.ensure('app', 'pull', new AbortController().signal)).toBe('failed')
})
