import { Registry } from 'prom-client'
import { pino } from 'pino'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { createPullSecretsLoop } from '../../src/controller/pull-secrets-loop.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createPullSecretMetrics } from '../../src/telemetry/pull-secret-metrics.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'

type Secret = KubeObject & { data: Record<string, string>; type: string }
type Account = KubeObject & { imagePullSecrets?: { name: string }[] }

const stops: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function source(password: string): KubeObject {
  const auth = Buffer.from(`u:${password}`).toString('base64')
  const text = JSON.stringify({ auths: { 'x.io': { auth } } })
  return {
    metadata: { name: 'src', namespace: 'home', labels: { 'berth.dev/copy': 'allowed' } },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(text).toString('base64') },
  } as KubeObject
}

interface Running {
  readonly kube: FakeKube
  /** Lines of the log, by message. */
  readonly said: (message: string) => Record<string, unknown>[]
  readonly metrics: () => Promise<string>
  readonly stop: () => Promise<void>
}

function start(kube: FakeKube, more = ''): Running {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  stuckPods: recreate
  copies:
    - { name: pull, from: [home/src], namespaces: ['app*'] ${more} }`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as never) })
  const registry = new Registry()
  const loop = createPullSecretsLoop({
    api: kube.api,
    settings: result.config.pullSecretCopies,
    log,
    metrics: createPullSecretMetrics(registry),
  })
  const stopping = new AbortController()
  const running = loop.run(stopping.signal)
  const stop = async () => {
    stopping.abort()
    await running
  }
  stops.push(stop)
  const said = (message: string) => lines.filter(({ msg }) => String(msg).includes(message))
  return { kube, said, metrics: () => registry.metrics(), stop }
}

function namespaces(kube: FakeKube, names: readonly string[]): void {
  for (const name of names) {
    kube.put('namespaces', { metadata: { name } })
    kube.put('serviceaccounts', { metadata: { name: 'default', namespace: name } })
  }
}

function lists(kube: FakeKube, namespace: string): (string | undefined)[] | undefined {
  const account: Account | null = kube.get('serviceaccounts', 'default', namespace)
  return account?.imagePullSecrets?.map(({ name }) => name)
}

const isLinked = (kube: FakeKube, namespace: string) =>
  vi.waitFor(() => expect(lists(kube, namespace)).toContain('pull'), { timeout: 20_000 })

describe('the loop', () => {
  it('copies, links, follows what comes, and rests', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    namespaces(kube, ['app1', 'other'])
    const { said } = start(kube)
    await isLinked(kube, 'app1')
    namespaces(kube, ['app2'])
    await isLinked(kube, 'app2')
    await vi.waitFor(() => expect(said('at rest').length).toBeGreaterThan(0))

    expect(kube.writes.map(({ verb, about }) => `${verb} ${about}`)).toEqual([
      'create secrets app1/pull',
      'patch serviceaccounts app1/default',
      'create secrets app2/pull',
      'patch serviceaccounts app2/default',
    ])
  })

  it('writes nothing when it begins again', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    namespaces(kube, ['app1'])
    const first = start(kube)
    await isLinked(kube, 'app1')
    await first.stop()
    kube.writes.length = 0
    const second = start(kube)
    await vi.waitFor(() => expect(second.said('at rest')).toHaveLength(1))

    expect(kube.writes).toEqual([])
  })

  it('follows a rotation, and never writes two within a tenth of a second', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    const names = Array.from({ length: 12 }, (_, index) => `app${index}`)
    namespaces(kube, names)
    const { said } = start(kube, ', serviceAccounts: []')
    await vi.waitFor(() => expect(said('at rest').length).toBeGreaterThan(0), { timeout: 20_000 })
    const { data } = kube.put('secrets', source('two')) as Secret
    await vi.waitFor(
      () => {
        for (const name of names) expect(kube.get('secrets', 'pull', name)).toMatchObject({ data })
      },
      { timeout: 20_000 },
    )
    const gaps = kube.writes.slice(1).map(({ at }, index) => at - (kube.writes[index]?.at ?? 0))

    expect(kube.writes).toHaveLength(24)
    // Timers of Node.js may come a millisecond early.
    expect(Math.min(...gaps)).toBeGreaterThan(97)
  }, 30_000)

  it('is not held up by a namespace where it may not write', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    namespaces(kube, ['app1', 'app2'])
    kube.refuse('secrets app1/pull', 403)
    const { metrics } = start(kube)
    await isLinked(kube, 'app2')
    await isLinked(kube, 'app1')

    expect(await metrics()).toContain(
      'berth_pull_secret_writes_total{kind="create",outcome="failed"} 1',
    )
  })

  it('tries again at once when somebody else has changed the account meanwhile', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    namespaces(kube, ['app1'])
    kube.refuse('serviceaccounts app1/default', 422)
    const { said } = start(kube)
    await isLinked(kube, 'app1')

    expect(said('not written')).toEqual([])
  })

  it('loses patience with somebody who takes the name out of the list each time', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    namespaces(kube, ['app1'])
    const { said } = start(kube)
    for (let round = 1; round <= 3; round++) {
      await isLinked(kube, 'app1')
      kube.put('serviceaccounts', { metadata: { name: 'default', namespace: 'app1' } })
    }
    const rests = said('at rest').length
    await vi.waitFor(() => expect(said('at rest').length).toBeGreaterThan(rests))

    expect(kube.writes.filter(({ verb }) => verb === 'patch')).toHaveLength(3)
    expect(lists(kube, 'app1')).toBeUndefined()
  })

  it('evicts a stuck pod that a better one follows, and not again if that is stuck as well', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    namespaces(kube, ['app1'])
    const pod = (name: string, creationTimestamp: string): KubeObject =>
      ({
        metadata: {
          name,
          namespace: 'app1',
          creationTimestamp,
          ownerReferences: [
            { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'rs', controller: true },
          ],
        },
        spec: {
          serviceAccountName: 'default',
          containers: [{ name: 'main', image: 'x.io/app:1' }],
        },
        status: {
          phase: 'Pending',
          containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ErrImagePull' } } }],
        },
      }) as KubeObject
    kube.put('pods', pod('early', '2020-01-01T00:00:00Z'))
    kube.put('pods', pod('also-early', '2020-01-01T00:00:00Z'))
    start(kube)
    await vi.waitFor(() => {
      expect(kube.get('pods', 'early', 'app1')).toBeNull()
      expect(kube.get('pods', 'also-early', 'app1')).toBeNull()
    })
    kube.put('pods', pod('again', '2999-01-01T00:00:00Z'))
    const event = await vi.waitFor(() => {
      const last = kube.writes.at(-1)?.about ?? ''
      expect(last).toMatch(/^events app1\/again\./)
      return kube.get('events', last.split('/')[1] ?? '', 'app1')
    })

    expect(event).toMatchObject({ message: expect.stringContaining('which did not help') })
    expect(kube.get('pods', 'again', 'app1')).not.toBeNull()
  })

  it('selects each secret that it reads by name and by label', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    namespaces(kube, ['app1'])
    start(kube)
    await isLinked(kube, 'app1')
    const queries = kube.watches
      .filter(({ ref }) => ref.resource === 'secrets')
      .map(({ query }) => `${query['fieldSelector']} ${query['labelSelector']}`)

    expect(queries.toSorted()).toEqual([
      'metadata.name=pull !berth.dev/copied',
      'metadata.name=pull app.kubernetes.io/managed-by=berth,berth.dev/copied',
      'metadata.name=pull berth.dev/copied,app.kubernetes.io/managed-by!=berth',
      'metadata.name=src berth.dev/copy=allowed',
    ])
  })
})
