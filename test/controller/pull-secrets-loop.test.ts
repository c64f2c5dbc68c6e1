import { afterEach, describe, expect, it, vi } from 'vitest'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'
import {
  attemptsOf,
  eventsIn,
  type LoopOptions,
  noLimit,
  putNamespaces,
  type RunningLoop,
  secretsOf,
  source,
  startPullSecretsLoop,
} from '../support/pull-secrets-loop.ts'

type Secret = KubeObject & { data: Record<string, string>; type: string }

const stops: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

/** The answer of the API server to a write that a quota refuses. */
const overQuota = new KubeError(403, 'Forbidden', 'exceeded quota: few, used: secrets=3')

function start(kube: FakeKube, options: LoopOptions = {}): RunningLoop {
  const loop = startPullSecretsLoop(kube, options)
  stops.push(loop.stop)
  return loop
}

const waitForLink = (kube: FakeKube, namespace: string) =>
  vi.waitFor(() => expect(secretsOf(kube, namespace)).toContain('pull'), { timeout: 20_000 })

const upToDate = 'pull secrets up to date'

describe('the pull secrets loop', () => {
  it('copies to existing and new namespaces, links the copies, and reports when it is done', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1', 'other'])
    const { logged } = start(kube)
    await waitForLink(kube, 'app1')
    putNamespaces(kube, ['app2'])
    await waitForLink(kube, 'app2')
    await vi.waitFor(() => expect(logged(upToDate).length).toBeGreaterThan(0))

    expect(kube.writes.map(({ verb, about }) => `${verb} ${about}`)).toEqual([
      'create secrets app1/pull',
      'patch serviceaccounts app1/default',
      'create secrets app2/pull',
      'patch serviceaccounts app2/default',
    ])
  })

  it('writes nothing after a restart', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    const first = start(kube)
    await waitForLink(kube, 'app1')
    await first.stop()
    kube.writes.length = 0
    const second = start(kube)
    await vi.waitFor(() => expect(second.logged(upToDate)).toHaveLength(1))

    expect(kube.writes).toEqual([])
  })

  it('follows a rotation, and waits for the rate limiter before each write', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    const names = Array.from({ length: 12 }, (_, index) => `app${index}`)
    putNamespaces(kube, names)
    /** How many writes had been made at each turn. */
    const turns: number[] = []
    const acquire = () => Promise.resolve(void turns.push(kube.writes.length))
    const { logged } = start(kube, {
      copy: ', serviceAccounts: []',
      limiter: { ...noLimit, acquire },
    })
    await vi.waitFor(() => expect(logged(upToDate)).not.toEqual([]))
    const { data } = kube.put('secrets', source('two')) as Secret
    await vi.waitFor(() => {
      for (const name of names) expect(kube.get('secrets', 'pull', name)).toMatchObject({ data })
    })

    expect(kube.writes).toHaveLength(24)
    expect(turns).toHaveLength(24)
    // The n-th turn comes before the n-th write.
    expect(turns.every((writes, turn) => writes <= turn)).toBe(true)
  })

  it('keeps copies for the grace period when their source is gone, and then deletes them', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    const { logged } = start(kube, { times: { sourceGraceMs: 100 } })
    await waitForLink(kube, 'app1')
    kube.drop('secrets', 'src', 'home')
    await vi.waitFor(() => expect(kube.get('secrets', 'pull', 'app1')).toBeNull())
    const [absent] = logged('pull secret source absent')
    const [unlink, remove] = kube.writes.slice(-2)

    expect([unlink?.verb, remove?.verb]).toEqual(['patch', 'remove'])
    expect(secretsOf(kube, 'app1')).toEqual([])
    // Timers of Node.js may fire a millisecond early.
    expect(unlink?.at).toBeGreaterThan(Number(absent?.['at']) + 95)
  })

  it('keeps copies when their source is created again within the grace period', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    const { logged } = start(kube, { times: { sourceGraceMs: 60_000 } })
    await waitForLink(kube, 'app1')
    kube.drop('secrets', 'src', 'home')
    await vi.waitFor(() => expect(logged('pull secret source absent')).toHaveLength(1))
    const { data } = kube.put('secrets', source('two')) as Secret
    await vi.waitFor(() => expect(kube.get('secrets', 'pull', 'app1')).toMatchObject({ data }))

    expect(kube.writes.map(({ verb }) => verb)).not.toContain('remove')
  })

  it('puts a refused write aside: other copies are created and linked, and it is retried', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    const allow = kube.refuseAlways(({ about }) => about === 'secrets app1/pull', overQuota)
    const { logged, metrics } = start(kube, {
      more: ["{ name: second, from: [home/src], namespaces: ['app*'] }"],
      times: { retry: { firstMs: 5, maxMs: 20 } },
    })
    await vi.waitFor(() => expect(secretsOf(kube, 'app1')).toEqual(['second']))
    const [event] = await vi.waitFor(() => {
      const events = eventsIn(kube, 'app1')
      expect(events).toHaveLength(1)
      return events
    })
    await vi.waitFor(() => expect(attemptsOf(kube, 'create secrets app1/pull')).toBeGreaterThan(4))

    expect(event).toMatchObject({
      reason: 'PullSecretRefused',
      message: expect.stringContaining('exceeded quota'),
      involvedObject: { kind: 'Secret', name: 'pull' },
    })
    expect(await metrics()).toContain('berth_pull_secret_findings{copy="pull",state="refused"} 1')
    expect(logged('pull secret writes put aside')[0]).toMatchObject({ waiting: 1 })
    expect(logged(upToDate)).toEqual([])
    // Retries with the same reason are logged for debugging only.
    expect(logged('pull secret not written')).toHaveLength(1)
    expect(eventsIn(kube, 'app1')).toHaveLength(1)

    allow()
    await vi.waitFor(() => expect(secretsOf(kube, 'app1')).toEqual(['second', 'pull']))
    await vi.waitFor(async () =>
      expect(await metrics()).toContain(
        'berth_pull_secret_findings{copy="pull",state="refused"} 0',
      ),
    )
  })

  it('removes a copy without a source while other writes are refused', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    kube.put('secrets', source('two', 'late'))
    putNamespaces(kube, ['app1'])
    const more = ["{ name: old, from: [home/late], namespaces: ['app*'] }"]
    const times = { sourceGraceMs: 20 }
    const first = start(kube, { more, times })
    await vi.waitFor(() => expect(secretsOf(kube, 'app1')).toEqual(['pull', 'old']))
    await first.stop()
    kube.drop('secrets', 'pull', 'app1')
    kube.drop('secrets', 'late', 'home')
    // The account cannot be changed either, so that its link to the deleted copy stays.
    kube.refuseAlways(({ verb }) => verb !== 'remove', overQuota)
    start(kube, { more, times })
    await vi.waitFor(() => expect(kube.get('secrets', 'old', 'app1')).toBeNull())
  })

  it('says once which right it lacks, for all namespaces', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1', 'app2', 'app3'])
    const message =
      'secrets is forbidden: User "u" cannot create resource "secrets" in API group ""'
    const error = new KubeError(403, 'Forbidden', message)
    kube.refuseAlways(({ verb }) => verb === 'create', error)
    const { logged } = start(kube)
    await vi.waitFor(() =>
      expect(logged('pull secret writes put aside').at(-1)).toMatchObject({ waiting: 3 }),
    )

    expect(logged('right missing').filter(({ kind }) => kind === 'create')).toMatchObject([
      {
        fix: expect.stringContaining('berth secrets rbac'),
        problem: expect.stringContaining('cannot create'),
      },
    ])
    expect(logged('pull secret not written')).toEqual([])
  })

  it('keeps an immutable copy whose replacement is refused', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    const first = start(kube)
    await waitForLink(kube, 'app1')
    await first.stop()
    const copy = kube.get('secrets', 'pull', 'app1')
    kube.put('secrets', { ...copy, immutable: true } as KubeObject)
    kube.put('secrets', source('two'))
    kube.refuseAlways(({ verb }) => verb === 'create', overQuota)
    const { logged } = start(kube)
    await vi.waitFor(() => expect(logged('pull secret not written').length).toBeGreaterThan(0))

    expect(kube.get('secrets', 'pull', 'app1')).toMatchObject({
      metadata: { uid: copy?.metadata.uid },
    })
    expect(kube.writes.map(({ verb }) => verb)).not.toContain('remove')
  })

  it('links the other copies when one of several names is refused', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    kube.refuseAlways(
      ({ verb, body }) => verb === 'patch' && JSON.stringify(body).includes('{"name":"pull"}'),
      new KubeError(422, 'Invalid', 'a policy refuses this pull secret'),
    )
    const { metrics } = start(kube, {
      more: ["{ name: second, from: [home/src], namespaces: ['app*'] }"],
    })
    await vi.waitFor(() => expect(secretsOf(kube, 'app1')).toEqual(['second']))

    await vi.waitFor(() =>
      expect(eventsIn(kube, 'app1')).toMatchObject([
        {
          reason: 'PullSecretRefused',
          involvedObject: { kind: 'ServiceAccount', name: 'default' },
        },
      ]),
    )
    expect(await metrics()).toContain('berth_pull_secret_findings{copy="second",state="refused"} 0')
  })

  it('forgets the findings of a deleted namespace', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    kube.refuseAlways(({ about }) => about === 'secrets app1/pull', overQuota)
    const { metrics } = start(kube)
    const refused = (count: number) => async () =>
      expect(await metrics()).toContain(
        `berth_pull_secret_findings{copy="pull",state="refused"} ${count}`,
      )
    await vi.waitFor(refused(1))
    kube.drop('namespaces', 'app1')

    await vi.waitFor(refused(0))
  })

  it('continues in other namespaces after a failed write, and retries it', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1', 'app2'])
    kube.refuse('secrets app1/pull', 403)
    const { metrics } = start(kube)
    await waitForLink(kube, 'app2')
    await waitForLink(kube, 'app1')

    expect(await metrics()).toContain(
      'berth_pull_secret_writes_total{kind="create",outcome="failed"} 1',
    )
  })

  it('retries at once when another client changes the service account meanwhile', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    kube.refuse('serviceaccounts app1/default', 422)
    const { logged } = start(kube)
    await waitForLink(kube, 'app1')

    expect(logged('pull secret not written')).toEqual([])
  })

  it('backs off when another client removes the link each time', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    start(kube)
    for (let round = 1; round <= 3; round++) {
      await waitForLink(kube, 'app1')
      kube.put('serviceaccounts', { metadata: { name: 'default', namespace: 'app1' } })
    }
    // A change that the loop sees later, so that it has handled the third removal.
    putNamespaces(kube, ['app2'])
    await waitForLink(kube, 'app2')

    const links = kube.writes.filter(({ about }) => about === 'serviceaccounts app1/default')
    expect(links).toHaveLength(3)
    expect(secretsOf(kube, 'app1')).toBeUndefined()
  })

  it('evicts a stuck pod, and records an Event if its replacement is stuck too', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
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

  it('watches only secrets that it selects by name and label', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1'])
    start(kube)
    await waitForLink(kube, 'app1')
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
