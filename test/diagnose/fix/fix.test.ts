import { applyPatch, type Operation } from 'fast-json-patch'
import { describe, expect, it } from 'vitest'
import { diagnoseCluster } from '../../../src/diagnose/evidence/diagnose-cluster.ts'
import { executeFix } from '../../../src/diagnose/fix/execute.ts'
import { planFix } from '../../../src/diagnose/fix/plan.ts'
import { shownReport, stepText } from '../../../src/diagnose/fix/steps.ts'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { KubeError } from '../../../src/kube/error.ts'
import { type KubeObject, nameOf, type ResourceRef } from '../../../src/kube/object.ts'

type Loose = KubeObject & Record<string, unknown>

/** A fake API server with a few objects and the status codes of a real one. An eviction deletes the pod. */
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
  const diagnosed = await diagnoseCluster(api, { namespace: 'team', includes: () => true })
  return planFix(api, diagnosed, named)
}

async function fixAll(fake: Fake) {
  const reports = await executeFix(fake.api, await plan(fake), {
    onReport: () => {},
    signal: new AbortController().signal,
    settleMs: 0,
  })
  expect(JSON.stringify(reports.map(shownReport))).not.toMatch(/CANARY|dockerconfigjson/)
  return reports.map(({ step, outcome }) => `${outcome}: ${stepText(step)}`)
}

const planLines = async (fake: Fake, named: { namespace: string; name: string } | null = null) => {
  const { steps, left } = await plan(fake, named)
  return [
    ...steps.map(({ step }) => stepText(step)),
    ...left.map(({ pod: name, why }) => `left ${name}: ${why}`),
  ]
}

describe('pods without a pull secret', () => {
  it('get the secret that consents: copied, linked, and the pods evicted', async () => {
    const fake = cluster({
      pods: [pod('web-1', { secrets: ['other'] }), pod('web-2', { secrets: ['other'] })],
      serviceaccounts: [account(['other'])],
      secrets: [
        secret('pull'),
        secret('private', { consents: false }),
        secret('other', { namespace: 'team', registry: 'elsewhere.example' }),
      ],
    })

    expect(await fixAll(fake)).toEqual([
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
    expect(await planLines(fake)).toEqual([])
  })

  it('keep an entry that another writer appends at the same time', async () => {
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
    [
      'a pod without a controller',
      { owner: null },
      'the pod has no controller: delete and recreate it',
    ],
    [
      'a static pod',
      { owner: 'Node' },
      'the pod is a static pod of node web: change its manifest there',
    ],
    [
      'a pod of a Job',
      { owner: 'Job' },
      'Job web would count an eviction as a failure: delete the pod',
    ],
  ])('are left, with the secret linked, if they are %s', async (_, facts, why) => {
    const fake = cluster({
      pods: [pod('alone', facts)],
      serviceaccounts: [account()],
      secrets: [secret('pull')],
    })

    expect(await planLines(fake)).toEqual([
      'copy secret vault/pull to team',
      'link secret pull to service account team/default',
      `left alone: ${why}`,
    ])
    await fixAll(fake)
    expect(await planLines(fake)).toEqual([`left alone: ${why}`])
    expect(fake.writes.filter((write) => write.startsWith('evict'))).toEqual([])
  })

  it('are recreated if only the service account names the secret', async () => {
    const fake = cluster({
      pods: [pod('web-1')],
      serviceaccounts: [account(['pull'])],
      secrets: [secret('pull', { namespace: 'team', consents: false })],
    })

    expect(await fixAll(fake)).toEqual(['done: recreate pod team/web-1 of ReplicaSet/web'])
  })

  it('are not recreated if they name the missing secret', async () => {
    const fake = cluster({
      pods: [pod('web-1', { secrets: ['mine'] })],
      serviceaccounts: [account()],
      secrets: [
        secret('pull', { annotations: { 'berth.dev/expires-at': '2030-01-01T00:00:00Z' } }),
      ],
    })

    expect(await fixAll(fake)).toEqual([
      'done: copy secret vault/pull to team as mine; it expires at 2030-01-01T00:00:00Z and is not renewed',
    ])
  })
})

describe('pods that are left', () => {
  const webs = { pods: [pod('web-1')], serviceaccounts: [account()] }

  it.each([
    ['no secret is for the registry', [secret('pull', { registry: 'elsewhere.example' })], /no secret for mirror\.example may be copied/],
    ['the secret does not consent', [secret('pull', { consents: false })], /no secret for mirror\.example may be copied/],
    ['the credentials have expired', [secret('pull', { annotations: { 'berth.dev/expires-at': '2020-01-01T00:00:00Z' } })], /expired/],
    ['two secrets differ', [secret('one'), secret('two', { password: 'x' })], /vault\/one, vault\/two.*--secret/],
    ['another secret has the name', [secret('pull'), secret('pull', { namespace: 'team', registry: 'elsewhere.example', consents: false })], /secret pull already exists/],
  ])('are reported with the reason: %s', async (_, secrets, why) => {
    const found = await planLines(cluster({ ...webs, secrets }))

    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(why)
  }) // prettier-ignore

  it('do not include a pod with two equal secrets to choose from', async () => {
    const found = await planLines(cluster({ ...webs, secrets: [secret('one'), secret('two')] }))

    expect(found[0]).toBe('copy secret vault/one to team')
  })

  it('include a pod whose template sets imagePullSecrets', async () => {
    const fake = cluster({
      pods: [pod('web-1', { secrets: ['theirs'] })],
      serviceaccounts: [account()],
      secrets: [
        secret('pull'),
        secret('theirs', { namespace: 'team', registry: 'elsewhere.example', consents: false }),
      ],
    })

    expect(await planLines(fake)).toEqual([
      'left web-1: its template sets imagePullSecrets (theirs), so the list of the service account is not used: add pull to the template',
    ])
  })

  it('include a pod in a namespace that opts out', async () => {
    const labels = { 'berth.dev/pull-secrets': 'disabled' }
    const namespaces = [{ metadata: { name: 'team', labels } }]
    const fake = cluster({ ...webs, namespaces, secrets: [secret('pull')] })

    expect((await planLines(fake))[0]).toContain('namespace team opts out of copies')
  })

  it('include a pod whose cause is not a missing secret', async () => {
    const message = `failed to resolve reference "${host}/team/app:2": ${host}/team/app:2: not found`
    const fake = cluster({ ...webs, pods: [pod('web-1', { message })], secrets: [secret('pull')] })

    expect(await planLines(fake)).toEqual([
      'left web-1: check the name and the tag; if the registry is a mirror, copy the image there',
    ])
  })

  it('include a pod whose message is about an image that it does not have', async () => {
    const message = denied.replaceAll(`${host}/team/app:1`, `${host}/team/old:1`)
    const fake = cluster({ ...webs, pods: [pod('web-1', { message })], secrets: [secret('pull')] })

    expect(await planLines(fake)).toEqual([
      `left web-1: the kubelet's message is about ${host}/team/old:1, which the pod does not have`,
    ])
  })

  it('include a pod with an image volume of a registry that no secret is for', async () => {
    const message = denied.replaceAll(`${host}/team/app:1`, 'models.example/model:1')
    const web = pod('web-1', { message })
    const volumes = [{ name: 'model', image: { reference: 'models.example/model:1' } }]
    const pods = [{ ...web, spec: { ...(web['spec'] as object), volumes } }]
    const fake = cluster({ ...webs, pods, secrets: [secret('pull')] })

    expect((await planLines(fake))[0]).toContain('no secret for models.example may be copied')
  })

  it('include a pod without a named secret if secrets of other namespaces cannot be listed', async () => {
    const fake = cluster({ ...webs, secrets: [secret('pull', { consents: false })] })
    fake.refusals.set('list secrets', 403)

    expect((await planLines(fake))[0]).toContain('name one for mirror.example with --secret')
    expect((await planLines(fake, { namespace: 'vault', name: 'pull' }))[0]).toBe(
      'copy secret vault/pull to team',
    )
    await expect(planLines(fake, { namespace: 'vault', name: 'none' })).rejects.toThrow(
      'secret vault/none does not exist',
    )
  })
})

describe('executeFix', () => {
  const ready = () =>
    cluster({ pods: [pod('web-1')], serviceaccounts: [account()], secrets: [secret('pull')] })

  it('skips the steps that need a failed step', async () => {
    const fake = ready()
    fake.refusals.set('serviceaccounts team/default', 403)

    expect(await fixAll(fake)).toEqual([
      'done: copy secret vault/pull to team',
      'failed: link secret pull to service account team/default',
      'skipped: recreate pod team/web-1 of ReplicaSet/web',
    ])
  })

  it('evicts in a second run after a disruption budget refused the first', async () => {
    const fake = ready()
    fake.refusals.set('evict web-1', 429)
    await fixAll(fake)
    fake.refusals.clear()

    expect(await fixAll(fake)).toEqual(['done: recreate pod team/web-1 of ReplicaSet/web'])
  })

  it('does not evict a pod that has started in the meantime', async () => {
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
