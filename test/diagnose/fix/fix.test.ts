import { applyPatch, type Operation } from 'fast-json-patch'
import { describe, expect, it } from 'vitest'
import { diagnoseCluster } from '../../../src/diagnose/evidence/diagnose-cluster.ts'
import { executeFix } from '../../../src/diagnose/fix/execute.ts'
import { planFix } from '../../../src/diagnose/fix/plan.ts'
import { shownReport, stepText } from '../../../src/diagnose/fix/steps.ts'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { KubeError } from '../../../src/kube/error.ts'
import { type KubeObject, nameOf, type ResourceRef } from '../../../src/kube/object.ts'
import { berth } from '../../support/io.ts'

type Loose = KubeObject & Record<string, unknown>

/** An API server of a few objects, with the refusals of a real one. Evicted pods are gone. */
function cluster(objects: Record<string, readonly Loose[]>) {
  const stored = new Map<string, Loose>()
  const writes: string[] = []
  const refusals = new Map<string, number>()
  const beforeWrite: (() => void)[] = []
  let version = 1
  const put = (resource: string, object: Loose) => {
    const { namespace, name } = object.metadata
    const metadata = { uid: `uid-${name}`, ...object.metadata, resourceVersion: String(++version) }
    const where = namespace === undefined ? {} : { namespace }
    stored.set(nameOf({ apiVersion: 'v1', resource, ...where, name }), { ...object, metadata })
  }
  for (const [resource, each] of Object.entries(objects))
    for (const object of each) put(resource, object)
  const refuse = (about: string) => {
    beforeWrite.shift()?.()
    const status = refusals.get(about)
    if (status !== undefined) throw new KubeError(status, '', `${about} is refused`)
  }
  const get = (where: ResourceRef) => stored.get(nameOf(where)) ?? null
  const api = {
    // A cluster that is not OpenShift.
    getRaw: (path: string) => Promise.reject(new KubeError(404, 'NotFound', `no ${path}`)),
    get: async (where: ResourceRef) => {
      await Promise.resolve()
      if (refusals.get(`get ${nameOf(where)}`) !== undefined) refuse(`get ${nameOf(where)}`)
      return get(where)
    },
    list: async function* (
      { resource, namespace }: ResourceRef,
      { labelSelector = '' }: { labelSelector?: string } = {},
    ) {
      await Promise.resolve()
      if (namespace === undefined) refuse(`list ${resource}`)
      const [label = '', value] = labelSelector.split('=')
      for (const [key, object] of stored)
        if (
          key.startsWith(`${resource} ${namespace ?? ''}`) &&
          (label === '' || object.metadata.labels?.[label] === value)
        )
          yield object
      return { resourceVersion: String(version) }
    },
    create: async (where: ResourceRef, object: Loose) => {
      await Promise.resolve()
      if (where.subresource === 'eviction') {
        refuse(`evict ${where.name}`)
        writes.push(`evict ${where.name}`)
        stored.delete(nameOf(where))
        return object
      }
      const about = nameOf({ ...where, name: object.metadata.name })
      refuse(about)
      if (stored.has(about)) throw new KubeError(409, 'AlreadyExists', `${about} is there`)
      writes.push(`create ${about}`)
      put(where.resource, object)
      return object
    },
    patch: async (where: ResourceRef, _kind: string, patch: readonly Operation[]) => {
      await Promise.resolve()
      refuse(nameOf(where))
      const before = structuredClone(get(where))
      let after: Loose
      try {
        after = applyPatch(before, patch, true).newDocument as Loose
      } catch {
        throw new KubeError(422, 'Invalid', 'a test of the patch does not hold')
      }
      writes.push(`patch ${nameOf(where)}`)
      put(where.resource, after)
      return after
    },
  } as unknown as KubeApi
  return { api, put, get, writes, refusals, beforeWrite }
}

const host = 'mirror.example'
const denied = `failed to pull and unpack image "${host}/team/app:1": failed to resolve reference "${host}/team/app:1": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials`
const auth = (password: string) => Buffer.from(`puller:${password}`).toString('base64')

interface PodFacts {
  readonly secrets?: readonly string[]
  readonly owner?: string | null
  readonly message?: string
}

function pod(
  name: string,
  { secrets = [], owner = 'ReplicaSet', message = denied }: PodFacts = {},
): Loose {
  const state = { waiting: { reason: 'ErrImagePull', message } }
  const owners = { ownerReferences: [{ apiVersion: 'apps/v1', kind: owner ?? '', name: 'web', uid: 'web', controller: true }] } // prettier-ignore
  return {
    metadata: { name, namespace: 'team', ...(owner === null ? {} : owners) },
    spec: {
      containers: [{ name: 'main', image: `${host}/team/app:1` }],
      serviceAccountName: 'default',
      imagePullSecrets: secrets.map((each) => ({ name: each })),
    },
    status: { containerStatuses: [{ name: 'main', state }] },
  }
}

interface SecretFacts {
  readonly namespace?: string
  readonly registry?: string
  readonly password?: string
  readonly consents?: boolean
  readonly annotations?: Record<string, string>
}

function secret(
  name: string,
  {
    namespace = 'vault',
    registry = host,
    password = 'CANARY',
    consents = true,
    annotations = {},
  }: SecretFacts = {},
): Loose {
  const content = JSON.stringify({ auths: { [registry]: { auth: auth(password) } } })
  return {
    metadata: {
      name,
      namespace,
      labels: consents ? { 'berth.dev/copy': 'allowed' } : {},
      annotations,
    },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(content).toString('base64'), more: 'CANARY' },
  }
}

function account(secrets?: readonly string[]): Loose {
  const list = secrets === undefined ? {} : { imagePullSecrets: secrets.map((name) => ({ name })) }
  return { metadata: { name: 'default', namespace: 'team' }, ...list }
}

type Fake = ReturnType<typeof cluster>

async function plan({ api }: Fake, named: { namespace: string; name: string } | null = null) {
  const judged = await diagnoseCluster(api, { namespace: 'team', includes: () => true })
  return planFix(api, judged, named)
}

async function heal(fake: Fake) {
  const reports = await executeFix(fake.api, await plan(fake), {
    onReport: () => {},
    signal: new AbortController().signal,
    settleMs: 0,
  })
  expect(JSON.stringify(reports.map(shownReport))).not.toMatch(/CANARY|dockerconfigjson/)
  return reports.map(({ step, outcome }) => `${outcome}: ${stepText(step)}`)
}

const lines = async (fake: Fake, named: { namespace: string; name: string } | null = null) => {
  const { steps, left } = await plan(fake, named)
  return [
    ...steps.map(({ step }) => stepText(step)),
    ...left.map(({ pod: name, why }) => `left ${name}: ${why}`),
  ]
}

describe('pods without a pull secret', () => {
  it('get the one that consents: copied, appended, and their owners make them again', async () => {
    const fake = cluster({
      pods: [pod('web-1', { secrets: ['other'] }), pod('web-2', { secrets: ['other'] })],
      serviceaccounts: [account(['other'])],
      secrets: [
        secret('pull'),
        secret('private', { consents: false }),
        secret('other', { namespace: 'team', registry: 'elsewhere.example' }),
      ],
    })

    expect(await heal(fake)).toEqual([
      'done: copy secret vault/pull to team',
      'done: link secret pull to service account team/default',
      'done: recreate pod team/web-1 of ReplicaSet/web',
      'done: recreate pod team/web-2 of ReplicaSet/web',
    ])
    const copy = fake.get({ apiVersion: 'v1', resource: 'secrets', namespace: 'team', name: 'pull' }) // prettier-ignore
    expect(copy?.metadata.annotations).toEqual({ 'berth.dev/copied-from': 'vault/pull' })
    expect(copy?.metadata.labels).toBeUndefined()
    expect(Object.keys(copy?.['data'] ?? {})).toEqual(['.dockerconfigjson'])
    expect(
      fake.get({
        apiVersion: 'v1',
        resource: 'serviceaccounts',
        namespace: 'team',
        name: 'default',
      }),
    ).toMatchObject({ imagePullSecrets: [{ name: 'other' }, { name: 'pull' }] })
    expect(await lines(fake)).toEqual([])
  })

  it('a list that somebody else appends to in between keeps both entries', async () => {
    const fake = cluster({
      pods: [pod('web-1')],
      serviceaccounts: [account()],
      secrets: [secret('pull', { namespace: 'team' })],
    })
    const own = { apiVersion: 'v1', resource: 'serviceaccounts', namespace: 'team' }
    const planned = await plan(fake)
    fake.beforeWrite.push(() => fake.put('serviceaccounts', account(['theirs'])))
    await executeFix(fake.api, planned, {
      onReport: () => {},
      signal: new AbortController().signal,
      settleMs: 0,
    })

    expect(fake.get({ ...own, name: 'default' })).toMatchObject({
      imagePullSecrets: [{ name: 'theirs' }, { name: 'pull' }],
    })
  })

  it.each([
    ['a bare one', { owner: null }, 'the pod has no controller: delete and recreate it'],
    [
      'one of a node',
      { owner: 'Node' },
      'the pod is a static pod of node web: change its manifest there',
    ],
    [
      'one of a Job',
      { owner: 'Job' },
      'Job web would count an eviction as a failure: delete the pod',
    ],
  ])('%s is left, with the secret ready for the next', async (_, facts, why) => {
    const fake = cluster({
      pods: [pod('alone', facts)],
      serviceaccounts: [account()],
      secrets: [secret('pull')],
    })

    expect(await lines(fake)).toEqual([
      'copy secret vault/pull to team',
      'link secret pull to service account team/default',
      `left alone: ${why}`,
    ])
    await heal(fake)
    expect(await lines(fake)).toEqual([`left alone: ${why}`])
    expect(fake.writes.filter((write) => write.startsWith('evict'))).toEqual([])
  })

  it('are made again when only their list is older than the service account', async () => {
    const fake = cluster({
      pods: [pod('web-1')],
      serviceaccounts: [account(['pull'])],
      secrets: [secret('pull', { namespace: 'team', consents: false })],
    })

    expect(await heal(fake)).toEqual(['done: recreate pod team/web-1 of ReplicaSet/web'])
  })

  it('that name a secret which is not there get it under that name, and are let be', async () => {
    const fake = cluster({
      pods: [pod('web-1', { secrets: ['mine'] })],
      serviceaccounts: [account()],
      secrets: [
        secret('pull', { annotations: { 'berth.dev/expires-at': '2030-01-01T00:00:00Z' } }),
      ],
    })

    expect(await heal(fake)).toEqual([
      'done: copy secret vault/pull to team as mine; it expires at 2030-01-01T00:00:00Z and is not renewed',
    ])
  })
})

describe('what is not chosen, overwritten or worked around', () => {
  const webs = { pods: [pod('web-1')], serviceaccounts: [account()] }

  it.each([
    ['a secret of another registry', [secret('pull', { registry: 'elsewhere.example' })], /no secret for mirror\.example may be copied/],
    ['a secret without consent', [secret('pull', { consents: false })], /no secret for mirror\.example may be copied/],
    ['one whose credentials have ended', [secret('pull', { annotations: { 'berth.dev/expires-at': '2020-01-01T00:00:00Z' } })], /expired/],
    ['two that differ', [secret('one'), secret('two', { password: 'x' })], /vault\/one, vault\/two.*--secret/],
    ['one whose name is taken', [secret('pull'), secret('pull', { namespace: 'team', registry: 'elsewhere.example', consents: false })], /secret pull already exists/],
  ])('%s', async (_, secrets, why) => {
    const found = await lines(cluster({ ...webs, secrets }))

    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(why)
  }) // prettier-ignore

  it('two that are the same are one', async () => {
    const found = await lines(cluster({ ...webs, secrets: [secret('one'), secret('two')] }))

    expect(found[0]).toBe('copy secret vault/one to team')
  })

  it('a list of the template', async () => {
    const fake = cluster({
      pods: [pod('web-1', { secrets: ['theirs'] })],
      serviceaccounts: [account()],
      secrets: [
        secret('pull'),
        secret('theirs', { namespace: 'team', registry: 'elsewhere.example', consents: false }),
      ],
    })

    expect(await lines(fake)).toEqual([
      'left web-1: its template sets imagePullSecrets (theirs), so the list of the service account is not used: add pull to the template',
    ])
  })

  it('a namespace that wants no copies', async () => {
    const labels = { 'berth.dev/pull-secrets': 'disabled' }
    const namespaces = [{ metadata: { name: 'team', labels } }]
    const fake = cluster({ ...webs, namespaces, secrets: [secret('pull')] })

    expect((await lines(fake))[0]).toContain('namespace team opts out of copies')
  })

  it('a cause that no secret cures', async () => {
    const message = `failed to resolve reference "${host}/team/app:2": ${host}/team/app:2: not found`
    const fake = cluster({ ...webs, pods: [pod('web-1', { message })], secrets: [secret('pull')] })

    expect(await lines(fake)).toEqual([
      'left web-1: check the name and the tag; if the registry is a mirror, copy the image there',
    ])
  })

  it('without the right to list secrets of other namespaces one has to be named', async () => {
    const fake = cluster({ ...webs, secrets: [secret('pull', { consents: false })] })
    fake.refusals.set('list secrets', 403)

    expect((await lines(fake))[0]).toContain('name one for mirror.example with --secret')
    expect((await lines(fake, { namespace: 'vault', name: 'pull' }))[0]).toBe(
      'copy secret vault/pull to team',
    )
    await expect(lines(fake, { namespace: 'vault', name: 'none' })).rejects.toThrow(
      'secret vault/none does not exist',
    )
  })
})

describe('a step that fails', () => {
  const ready = () =>
    cluster({ pods: [pod('web-1')], serviceaccounts: [account()], secrets: [secret('pull')] })

  it('takes those that need it with it', async () => {
    const fake = ready()
    fake.refusals.set('serviceaccounts team/default', 403)

    expect(await heal(fake)).toEqual([
      'done: copy secret vault/pull to team',
      'failed: link secret pull to service account team/default',
      'skipped: recreate pod team/web-1 of ReplicaSet/web',
    ])
  })

  it('because of a disruption budget can be tried again', async () => {
    const fake = ready()
    fake.refusals.set('evict web-1', 429)
    await heal(fake)
    fake.refusals.clear()

    expect(await heal(fake)).toEqual(['done: recreate pod team/web-1 of ReplicaSet/web'])
  })

  it('and a pod that came up while a person thought is let be', async () => {
    const fake = ready()
    const planned = await plan(fake)
    fake.put('pods', { ...pod('web-1'), status: {} })
    const reports = await executeFix(fake.api, planned, {
      onReport: () => {},
      signal: new AbortController().signal,
      settleMs: 0,
    })

    expect(reports.at(-1)).toMatchObject({ outcome: 'unneeded' })
    expect(fake.writes.filter((write) => write.startsWith('evict'))).toEqual([])
  })
})

describe('the options', () => {
  it.each([
    [['--yes'], '--yes says how --fix works'],
    [['--fix', '--secret', 'pull'], 'write NAMESPACE/NAME'],
    [['--fix', '--message', 'x'], '--fix needs a cluster'],
  ])('%j', async (args, said) => {
    const { code, stderr } = await berth(['diagnose', ...args])

    expect(code).toBe(2)
    expect(stderr).toContain(said)
  })
})
