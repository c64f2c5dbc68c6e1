import { describe, expect, it } from 'vitest'
import { readConfig } from '../../../src/config/load.ts'
import { createCopyProvisioner } from '../../../src/webhook/admission/copy-provisioner.ts'
import { KubeError } from '../../../src/kube/error.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { planNamespace } from '../../../src/pull-secrets/plan.ts'
import { readContent } from '../../../src/pull-secrets/content.ts'
import { type SecretObject, readCopy, readSourceSecret } from '../../../src/pull-secrets/objects.ts'
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
): KubeObject & SecretObject {
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
    get: (ref, options) => {
      read.push(`${ref.resource} ${ref.name}${options?.metadataOnly === true ? ' (metadata)' : ''}`)
      return kube.api.get(ref, options)
    },
  }
  const make = (name: string, labels = {}) =>
    kube.put('namespaces', { metadata: { name, uid: `uid of ${name}`, labels } })
  make('app')
  const provisioner = createCopyProvisioner({ api, log, now: () => now }, copiesOf())
  const ensure = (namespace: string, secret = 'pull', { signal } = new AbortController()) =>
    provisioner.ensure(namespace, secret, signal)
  return { kube, api, read, make, provisioner, ensure }
}

describe('a copy that the webhook creates', () => {
  it('is the copy that the controller would create', async () => {
    const { kube, ensure } = scene()

    expect(await ensure('app')).toBe('present')
    const existing = readCopy(kube.get('secrets', 'pull', 'app') ?? secretOf())
    const [copy] = copiesOf()
    if (copy === undefined) throw new Error('no copy')
    const content = readContent(copy, () => readSourceSecret(secretOf()))
    const { writes } = planNamespace([{ settings: copy, content }], {
      name: 'app',
      namespace: { labels: {}, isTerminating: false, resourceVersion: '1' },
      accounts: new Map(),
      secrets: new Map([['pull', existing]]),
    })
    expect(existing.kind).toBe('copy')
    expect(writes).toEqual([])
  })

  it('takes one request, however many pods need it at the same time, and none afterwards', async () => {
    const { kube, read, ensure } = scene()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => ensure('app')))
    await ensure('app')

    expect(new Set(outcomes)).toEqual(new Set(['present']))
    expect(kube.writes.map(({ verb, about }) => `${verb} ${about}`)).toEqual([
      'create secrets app/pull',
    ])
    expect(read).toEqual(['namespaces app (metadata)', 'secrets src'])
  })

  it('does not replace an existing secret of the same name', async () => {
    const { kube, ensure } = scene()
    const foreign = kube.put('secrets', { metadata: { name: 'pull', namespace: 'app' } })

    expect(await ensure('app')).toBe('present')
    expect(kube.get('secrets', 'pull', 'app')).toEqual(foreign)
  })

  it.each([
    ['another namespace', 'other', {}],
    ['a namespace that opts out', 'app2', { 'berth.dev/pull-secrets': 'disabled' }],
  ])('is not created in %s, and its source is not read', async (_, name, labels) => {
    const { kube, read, make, ensure } = scene()
    make(name, labels)

    expect(await ensure(name)).toBe('not-covered')
    expect(kube.writes).toEqual([])
    expect(read).toEqual([`namespaces ${name} (metadata)`])
  })

  it.each([
    ['is missing', null],
    ['does not consent', secretOf({ labels: {} })],
    ['has an entry that kubelets ignore', secretOf({}, '')],
    ['has expired', secretOf({ annotations: { 'berth.dev/expires-at': '2026-01-02T03:04:04Z' } })],
  ])('is not created from a source that %s', async (_, source) => {
    const { kube, ensure } = scene(source)

    expect(await ensure('app')).toBe('failed')
    expect(kube.writes).toEqual([])
  })

  it('is not created in a missing namespace, which a forged review may name', async () => {
    const { kube, ensure } = scene()

    expect(await ensure('apparition')).toBe('failed')
    expect(kube.writes).toEqual([])
  })

  it.each([403, 409, 500])(
    'fails when the API server answers %d and the copy does not exist',
    async (status) => {
      const { kube, ensure } = scene()
      kube.refuse('secrets app/pull', status)

      expect(await ensure('app')).toBe('failed')
    },
  )

  it('is not created without `ensure: true`', async () => {
    const { kube, provisioner, ensure } = scene()

    expect(['pull', 'lazy', 'x'].map((name) => provisioner.covers(name))).toEqual([
      true,
      false,
      false,
    ])
    expect(await ensure('app', 'lazy')).toBe('not-covered')
    expect(kube.writes).toEqual([])
  })
})

describe('a review that times out', () => {
  it('does not stop the creation: the next pod gets the copy', async () => {
    const { kube, api } = scene()
    const slow = Promise.withResolvers<void>()
    const provisioner = createCopyProvisioner(
      {
        api: {
          ...api,
          get: async (ref, options) => (await slow.promise, api.get(ref, options)),
        },
        log,
        now: () => now,
      },
      copiesOf(),
    )
    const deadline = new AbortController()
    const first = provisioner.ensure('app', 'pull', deadline.signal)
    deadline.abort()

    expect(await first).toBe('failed')
    const second = provisioner.ensure('app', 'pull', new AbortController().signal)
    slow.resolve()
    expect(await second).toBe('present')
    expect(kube.writes).toHaveLength(1)
  })

  it('waits for nothing when it has timed out before', async () => {
    const never = new Promise<never>(() => undefined)
    const { api } = scene()
    const dependencies = { api: { ...api, get: () => never }, log, now: () => now }

    expect(
      await createCopyProvisioner(dependencies, copiesOf()).ensure(
        'app',
        'pull',
        AbortSignal.abort(),
      ),
    ).toBe('failed')
  })
})

it('never rejects when the API server cannot be reached', async () => {
  const { api } = scene()
  const broken = () => Promise.reject(new KubeError(null, '', 'no answer'))
  const dependencies = { api: { ...api, get: broken }, log, now: () => now }
  const provisioner = createCopyProvisioner(dependencies, copiesOf())

  expect(await provisioner.ensure('app', 'pull', new AbortController().signal)).toBe('failed')
})
