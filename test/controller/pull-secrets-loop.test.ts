import { Registry } from 'prom-client'
import { pino } from 'pino'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { RateLimiter } from '../../src/async/rate-limiter.ts'
import { readConfig } from '../../src/config/load.ts'
import {
  createPullSecretsLoop,
  type PullSecretsTimes,
} from '../../src/controller/pull-secrets-loop.ts'
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

interface RunningLoop {
  /** Returns the lines of the log with this message. */
  readonly logged: (message: string) => Record<string, unknown>[]
  readonly metrics: () => Promise<string>
  readonly stop: () => Promise<void>
}

interface LoopOptions {
  /** More settings of the copy. */
  readonly copy?: string
  readonly limiter?: RateLimiter
  readonly times?: PullSecretsTimes
}

/** Lets every caller through at once. */
const noLimit: RateLimiter = { acquire: () => Promise.resolve(), delayMs: () => 0 }

function start(
  kube: FakeKube,
  { copy = '', limiter = noLimit, times }: LoopOptions = {},
): RunningLoop {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  stuckPods: recreate
  copies:
    - { name: pull, from: [home/src], namespaces: ['app*'] ${copy} }`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  const lines: Record<string, unknown>[] = []
  const write = (line: string) =>
    void lines.push({ ...(JSON.parse(line) as object), at: performance.now() })
  const log = pino({}, { write })
  const registry = new Registry()
  const loop = createPullSecretsLoop({
    api: kube.api,
    settings: result.config.pullSecretCopies,
    log,
    metrics: createPullSecretMetrics(registry),
    limiter,
    times,
  })
  const stopping = new AbortController()
  const running = loop.run(stopping.signal)
  const stop = async () => {
    stopping.abort()
    await running
  }
  stops.push(stop)
  const logged = (message: string) => lines.filter(({ msg }) => msg === message)
  return { logged, metrics: () => registry.metrics(), stop }
}

function putNamespaces(kube: FakeKube, names: readonly string[]): void {
  for (const name of names) {
    kube.put('namespaces', { metadata: { name } })
    kube.put('serviceaccounts', { metadata: { name: 'default', namespace: name } })
  }
}

function secretsOf(kube: FakeKube, namespace: string): (string | undefined)[] | undefined {
  const account: Account | null = kube.get('serviceaccounts', 'default', namespace)
  return account?.imagePullSecrets?.map(({ name }) => name)
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
