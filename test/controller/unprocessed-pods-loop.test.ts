import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createPodWatch } from '../../src/controller/runtime/pod-watch.ts'
import { createRestartMemory, type RestartMemory } from '../../src/controller/restart-memory.ts'
import { createUnprocessedPodsLoop } from '../../src/controller/unprocessed-pods-loop.ts'
import { createDecide } from '../../src/decision/resolve/decision-cache.ts'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject, OwnerReference } from '../../src/kube/object.ts'
import { createUnprocessedPodMetrics } from '../../src/telemetry/unprocessed-pod-metrics.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'
import { failed, found, type Registries, registriesOf } from '../support/manifest-answers.ts'
import { tableOf } from '../support/tables.ts'

const replicaSet = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs', controller: true } // prettier-ignore
const table = tableOf(
  ['anubis:32000'],
  [
    { name: 'left', images: ['docker.io/left/*'], leave: true },
    { name: 'hub', images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}'] },
  ],
)
const mirrorHasAll = registriesOf({ 'anubis:32000': found(), 'docker.io': found() })

let kube: FakeKube
let stop: AbortController
let running: Promise<void>
let memory: RestartMemory
let metrics: Registry
let logged: { fields: Record<string, unknown>; message: string }[]

beforeEach(() => {
  kube = startFakeKube()
  for (const [name, labels] of Object.entries({
    shop: {},
    out: { 'berth.dev/rewrite': 'disabled' },
    trial: { 'berth.dev/mode': 'observe' },
  }))
    kube.put('namespaces', { metadata: { name, labels } })
  stop = new AbortController()
  memory = createRestartMemory()

  logged = []
})

afterEach(async () => {
  await end()
})

async function end(): Promise<void> {
  stop.abort()
  await running.catch(() => undefined)
}

/** Stops the loop and starts it again, as a reload of the config does. */
async function restart(): Promise<void> {
  await end()
  stop = new AbortController()
  start()
}

/** The time in which a few passes take place. */
const passes = () => new Promise((resolve) => void setTimeout(resolve, 60))

interface PodInput {
  readonly image?: string
  readonly namespace?: string
  readonly owner?: Partial<OwnerReference> | null
  /** Seconds after the other pods. */
  readonly age?: number
  readonly isReady?: boolean
  readonly annotations?: Readonly<Record<string, string>>
  readonly spec?: object
  readonly phase?: string
}

function pod(name: string, input: PodInput = {}): KubeObject {
  const { image = 'nginx:1', namespace = 'shop', owner = {}, age = 0, isReady = true } = input
  const { annotations = {}, spec = {}, phase = 'Running' } = input
  return {
    metadata: {
      name,
      namespace,
      uid: name,
      creationTimestamp: new Date(1_800_000_000_000 + age * 1_000).toISOString(),
      annotations,
      ...(owner === null ? {} : { ownerReferences: [{ ...replicaSet, ...owner }] }),
    },
    spec: { containers: [{ name: 'web', image, ...spec }] },
    status: { phase, conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] },
  } as KubeObject
}

/** An annotation as Berth writes it for the pods of these tests. */
const recordOf = (to: string) => ({
  'berth.dev/images': JSON.stringify([
    { site: 'containers/web', from: to, to, row: 'hub', why: 'found' },
  ]),
})
const records = recordOf('nginx:1')
/** A later pod that Berth has processed: the proof that it answers. */
const proof = () => pod('proof', { annotations: records, age: 10, owner: { uid: 'other' } })

/** Registers Berth, as its shipped configuration does for new pods of the namespaces without a label. */
function register(): void {
  const label = (key: string, operator: string, value: string) => ({
    key,
    operator,
    values: [value],
  })
  const isNotOut = label('berth.dev/rewrite', 'NotIn', 'disabled')
  const webhooks = [
    {
      name: 'mutate.berth.dev',
      namespaceSelector: {
        matchExpressions: [isNotOut, label('berth.dev/mode', 'NotIn', 'observe')],
      },
    },
  ]
  kube.put('mutatingwebhookconfigurations', { metadata: { name: 'berth' }, webhooks } as never)
}

function start(
  action: 'report' | 'restart' = 'restart',
  { dependencies }: Registries = mirrorHasAll,
): void {
  metrics = new Registry()
  const log = (fields: Record<string, unknown>, message: string) => logged.push({ fields, message })
  const pin = { matches: () => false, unresolved: 'keep' as const }
  const loop = createUnprocessedPodsLoop(
    {
      api: kube.api,
      watch: createPodWatch(kube.api),
      action,
      table,
      namespace: 'berth-system',
      openEngine: () => ({
        decide: createDecide(dependencies, { table, pin }),
        close: () => Promise.resolve(),
      }),
      memory,
      metrics: createUnprocessedPodMetrics(metrics),
      log: { info: log, warn: log, debug: () => undefined } as never,
    },
    { minIntervalMs: 1, maxIntervalMs: 20 },
  )
  running = loop.run(stop.signal)
}

const evictions = () =>
  kube.writes.filter(({ about }) => about.startsWith('pods ')).map(({ about }) => about.slice(5))
const events = () => kube.writes.filter(({ about }) => about.startsWith('events'))
const counts = async () => {
  const metric = await metrics.getSingleMetric('berth_unprocessed_pods')?.get()
  return metric?.values.map(({ labels, value }) => `${labels['namespace']} ${value}`)
}
const isLogged = (message: string) => logged.some((line) => line.message === message)

describe('the count of unprocessed pods', () => {
  it('is the number of pods in each namespace whose images would change in a new pod', async () => {
    kube.put('pods', pod('web-1'))
    kube.put('pods', pod('web-2', { owner: null }))
    start('report')
    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 2']))
    kube.drop('pods', 'web-1', 'shop')

    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 1']))
    expect(kube.writes).toEqual([])
  })

  it.each<[string, PodInput]>([
    ['that Berth has processed', { annotations: records }],
    ['that a row leaves', { image: 'left/app:1' }],
    ['without a row', { image: 'ghcr.io/acme/app:1' }],
    ['of a namespace that opted out', { namespace: 'out' }],
    ['of a namespace in observe mode', { namespace: 'trial' }],
    ['that is static', { annotations: { 'kubernetes.io/config.mirror': 'x' } }],
    ['that never pulls', { spec: { imagePullPolicy: 'Never' } }],
    ['that has ended', { phase: 'Succeeded' }],
  ])('has no pod %s', async (_, input) => {
    register()
    kube.put('pods', pod('web-1', input))
    kube.put('pods', pod('web-2'))
    start('report')

    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 1']))
  })

  it('leaves out pods that a match condition may exclude', async () => {
    const webhooks = [
      { name: 'mutate.berth.dev', matchConditions: [{ name: 'own', expression: 'false' }] },
    ]
    kube.put('mutatingwebhookconfigurations', { metadata: { name: 'berth' }, webhooks } as never)
    kube.put('pods', pod('web-1'))
    start()
    await vi.waitFor(async () => expect(await counts()).toEqual([]))
    await passes()

    expect(await counts()).toEqual([])
  })

  it('leaves out pods whose image the mirror lacks', async () => {
    const registries = registriesOf({
      'anubis:32000/library/absent:1': failed('absent'),
      'anubis:32000': found(),
      'docker.io': found(),
    })
    kube.put('pods', pod('web-1', { image: 'absent:1' }))
    kube.put('pods', pod('web-2'))
    start('report', registries)

    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 1']))
  })

  it('has a limited number of namespaces', async () => {
    for (let index = 0; index < 120; index += 1) {
      kube.put('pods', pod('web', { namespace: `tenant-${index}` }))
    }
    start('report')

    await vi.waitFor(async () => expect(await counts()).toHaveLength(101))
    expect(await counts()).toContain('_other 20')
  })
})

describe('a restart', () => {
  it('evicts the pods one by one, each after the replacement of the previous one is ready', async () => {
    register()
    for (const name of ['web-1', 'web-2']) kube.put('pods', pod(name))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1']))
    kube.put('pods', pod('web-3', { annotations: records, age: 20, isReady: false }))
    await passes()
    expect(evictions()).toHaveLength(1)

    kube.put('pods', pod('web-3', { annotations: records, age: 20 }))
    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1', 'shop/web-2']))
    expect(events()).toEqual([])
  })

  it('stops, with an Event, when the new pod is not processed either', async () => {
    register()
    for (const name of ['web-1', 'web-2']) kube.put('pods', pod(name))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(evictions()).toHaveLength(1))
    kube.put('pods', pod('web-3', { age: 20 }))
    await vi.waitFor(() => expect(events()).toHaveLength(1))
    kube.put('pods', pod('later', { annotations: records, age: 30, owner: { uid: 'other' } }))
    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 2']))
    await passes()

    expect(evictions()).toHaveLength(1)
    expect(isLogged('restart stopped')).toBe(true)
  })

  it('stays stopped when the config is reloaded', async () => {
    register()
    for (const name of ['web-1', 'web-2']) kube.put('pods', pod(name))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(evictions()).toHaveLength(1))
    kube.put('pods', pod('web-3', { age: 20 }))
    await vi.waitFor(() => expect(events()).toHaveLength(1))
    kube.put('pods', pod('later', { annotations: records, age: 30, owner: { uid: 'other' } }))
    await restart()
    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 2']))
    await passes()

    expect(evictions()).toHaveLength(1)
  })

  it('waits for the replacement of a pod also after a reload of the config', async () => {
    register()
    for (const name of ['web-1', 'web-2']) kube.put('pods', pod(name))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(evictions()).toHaveLength(1))
    await restart()
    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 1']))
    await passes()

    expect(evictions()).toHaveLength(1)
  })

  it('does not wait for an owner of another namespace', async () => {
    register()
    kube.put('namespaces', { metadata: { name: 'bank' } })
    kube.put('pods', pod('web-1'))
    kube.put('pods', pod('web-2', { owner: { uid: 'same-namespace' } }))
    kube.put('pods', pod('db-1', { namespace: 'bank', owner: { uid: 'db' } }))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1', 'bank/db-1']))
    await passes()
    expect(evictions()).toHaveLength(2)

    kube.put('pods', pod('web-3', { annotations: records, age: 20 }))
    await vi.waitFor(() => expect(evictions()).toContain('shop/web-2'))
  })

  it('waits for five starting owners, for half an hour', async () => {
    register()
    for (let index = 1; index <= 6; index += 1) {
      const namespace = `tenant-${index}`
      kube.put('namespaces', { metadata: { name: namespace } })
      kube.put('pods', pod(`web-${index}`, { namespace, owner: { uid: namespace } }))
    }
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(evictions()).toHaveLength(5))
    for (let index = 1; index <= 5; index += 1) {
      const namespace = `tenant-${index}`
      const input = { namespace, owner: { uid: namespace }, annotations: records }
      kube.put('pods', pod(`new-${index}`, { ...input, age: 20, isReady: false }))
    }
    await vi.waitFor(() => expect(isLogged('restarts paused')).toBe(true))
    await passes()
    expect(evictions()).toHaveLength(5)

    const now = performance.now.bind(performance)
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 1_800_000)
    onTestFinished(() => clock.mockRestore())
    await vi.waitFor(() => expect(evictions()).toContain('tenant-6/web-6'))
    expect(events()).toEqual([])
  })

  it('evicts a pod next to one that has ended', async () => {
    register()
    kube.put('pods', pod('web-1'))
    kube.put('pods', pod('ended', { phase: 'Failed', isReady: false }))
    kube.put('pods', proof())
    start()

    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1']))
  })

  it('logs once that an owner waits for its other pods', async () => {
    register()
    kube.put('pods', pod('web-1'))
    kube.put('pods', pod('web-2', { isReady: false, annotations: records }))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(isLogged('owner waits')).toBe(true))
    await passes()

    expect(logged).toEqual([
      {
        fields: { owner: 'ReplicaSet shop/web', reason: '1 of its other pods are not ready' },
        message: 'owner waits',
      },
    ])
    expect(evictions()).toEqual([])
  })

  it('waits until Berth has processed a newer pod', async () => {
    register()
    kube.put('pods', pod('web-1', { age: 20 }))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(isLogged('restarts paused')).toBe(true))
    expect(evictions()).toEqual([])

    kube.put('pods', pod('newer', { annotations: records, age: 21, owner: { uid: 'other' } }))
    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1']))
  })

  it.each<[string, PodInput]>([
    ['with a forged annotation', { annotations: { 'berth.dev/images': 'x' } }],
    ['with a record of another image', { annotations: recordOf('nginx:2') }],
    ['of a namespace in observe mode', { annotations: records, namespace: 'trial' }],
    ['of a namespace that opted out', { annotations: records, namespace: 'out' }],
  ])('does not take a newer pod %s as a proof that Berth answers', async (_, input) => {
    register()
    kube.put('pods', pod('web-1'))
    kube.put('pods', pod('newer', { ...input, age: 10, owner: { uid: 'other' } }))
    start()
    await vi.waitFor(() => expect(isLogged('restarts paused')).toBe(true))

    expect(evictions()).toEqual([])
  })

  it('stops when the annotation of the new pod is about another image', async () => {
    register()
    kube.put('pods', pod('web-1'))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(evictions()).toHaveLength(1))
    kube.put('pods', pod('web-2', { annotations: recordOf('nginx:2'), age: 20 }))

    await vi.waitFor(() => expect(isLogged('restart stopped')).toBe(true))
  })

  it('evicts nothing while the registration has no webhooks', async () => {
    const removal = { metadata: { name: 'berth' }, webhooks: [] } as never
    register()
    kube.put('pods', pod('web-1'))
    start()
    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 1']))
    kube.put('mutatingwebhookconfigurations', removal)
    kube.put('pods', proof())
    await vi.waitFor(() => expect(isLogged('restart failed')).toBe(true))

    expect(evictions()).toEqual([])
  })

  it('evicts nothing while Berth is not registered', async () => {
    kube.put('pods', pod('web-1'))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(isLogged('restart failed')).toBe(true))

    expect(evictions()).toEqual([])
  })

  const apps = { apiVersion: 'apps/v1' }
  it.each<[string, Partial<OwnerReference> | null]>([
    ['without a controller', null],
    ['of a Job', { apiVersion: 'batch/v1', kind: 'Job' }],
    ['of a node', { apiVersion: 'v1', kind: 'Node' }],
    ['of an operator', { apiVersion: 'acid.zalan.do/v1', kind: 'postgresql' }],
    ['of a paused Deployment', { ...apps, name: 'paused' }],
    ['of a StatefulSet with OnDelete', { ...apps, kind: 'StatefulSet', name: 'on-delete' }],
    ['of a DaemonSet with OnDelete', { ...apps, kind: 'DaemonSet', name: 'on-delete' }],
  ])('never evicts a pod %s', async (_, owner) => {
    register()
    const parent = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'paused', uid: 'd', controller: true } // prettier-ignore
    const metadata = { name: 'paused', namespace: 'shop' }
    kube.put('replicasets', { metadata: { ...metadata, ownerReferences: [parent] } })
    kube.put('deployments', { metadata, spec: { paused: true } } as KubeObject)
    for (const resource of ['statefulsets', 'daemonsets'])
      kube.put(resource, {
        metadata: { name: 'on-delete', namespace: 'shop' },
        spec: { updateStrategy: { type: 'OnDelete' } },
      } as KubeObject)
    kube.put('pods', pod('stays', { owner: owner === null ? null : { ...owner, uid: 'stays' } }))
    kube.put('pods', pod('web-1'))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1']))
    await vi.waitFor(async () => expect(await counts()).toEqual(['shop 1']))
    expect(evictions()).toHaveLength(1)
  })

  const deployment = {
    metadata: { name: 'web', namespace: 'shop', generation: 2 },
    spec: { replicas: 2 },
    status: { observedGeneration: 2, replicas: 2, updatedReplicas: 2 },
  }
  it.each<[string, string, object]>([
    ['Deployment that was just changed', 'deployments', { observedGeneration: 1 }],
    ['Deployment that is rolling out', 'deployments', { updatedReplicas: 1 }],
    ['Deployment that still has old pods', 'deployments', { replicas: 3 }],
    ['Deployment with a pod that is not available', 'deployments', { unavailableReplicas: 1 }],
    ['StatefulSet that is rolling out', 'statefulsets', { updatedReplicas: 1 }],
    ['DaemonSet that is rolling out', 'daemonsets', { desiredNumberScheduled: 1 }],
  ])('waits for the rollout of a %s', async (_, resource, status) => {
    register()
    const kind = { deployments: 'ReplicaSet', statefulsets: 'StatefulSet', daemonsets: 'DaemonSet' }[resource] ?? '' // prettier-ignore
    const parent = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'd', controller: true } // prettier-ignore
    const metadata = { name: 'web', namespace: 'shop', ownerReferences: [parent] }
    kube.put('replicasets', { metadata })
    kube.put(resource, { ...deployment, status: { ...deployment.status, ...status } } as KubeObject)
    kube.put('pods', pod('web-1', { owner: { kind } }))
    kube.put('pods', proof())
    start()
    await vi.waitFor(() => expect(isLogged('owner waits')).toBe(true))
    await passes()
    expect(evictions()).toEqual([])

    kube.put(resource, deployment)
    const now = performance.now.bind(performance)
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 10_000)
    onTestFinished(() => clock.mockRestore())
    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1']))
  })

  it('evicts a pod that is itself not available', async () => {
    register()
    const status = { ...deployment.status, unavailableReplicas: 1 }
    const parent = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'd', controller: true } // prettier-ignore
    kube.put('replicasets', {
      metadata: { name: 'web', namespace: 'shop', ownerReferences: [parent] },
    })
    kube.put('deployments', { ...deployment, status } as KubeObject)
    kube.put('pods', pod('web-1', { isReady: false }))
    kube.put('pods', proof())
    start()

    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1']))
  })

  it('evicts a pod below the partition of a StatefulSet', async () => {
    register()
    const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 1 } }
    const spec = { ...deployment.spec, updateStrategy }
    const status = { ...deployment.status, updatedReplicas: 1 }
    kube.put('statefulsets', { ...deployment, spec, status } as KubeObject)
    kube.put('pods', pod('web-1', { owner: { kind: 'StatefulSet' } }))
    kube.put('pods', proof())
    start()

    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1']))
  })

  it('never evicts a pod with an image that a row leaves unchanged', async () => {
    register()
    const left = pod('stays', { owner: { uid: 'left' } })
    const { containers } = (left as unknown as { spec: { containers: object[] } }).spec
    containers.push({ name: 'left', image: 'left/app:1' })
    kube.put('pods', left)
    kube.put('pods', pod('web-1'))
    kube.put('pods', proof())
    start()

    await vi.waitFor(() => expect(evictions()).toEqual(['shop/web-1']))
  })

  it('goes on with other owners when a disruption budget does not allow an eviction', async () => {
    register()
    const budget = new KubeError(429, 'TooManyRequests', 'a disruption budget does not allow it')
    kube.refuseAlways(({ about }) => about.includes('web-1'), budget)
    kube.put('pods', pod('web-1'))
    kube.put('pods', pod('db-1', { owner: { uid: 'db' } }))
    kube.put('pods', proof())
    start()

    await vi.waitFor(() => expect(evictions()).toContain('shop/db-1'))
  })

  it('logs which component grants a missing right, and goes on', async () => {
    kube.api.get = () => Promise.reject(new KubeError(403, 'Forbidden', 'cannot get resource'))
    kube.put('pods', pod('web-1'))
    start('report')
    await vi.waitFor(() => expect(isLogged('unprocessed pods not checked')).toBe(true))

    expect(logged[0]?.fields['fix']).toContain('add the component unprocessed-pods')
  })
})
