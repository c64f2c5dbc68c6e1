import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Registry } from 'prom-client'
import { createStuckPodsLoop, type StuckPodsTimes } from '../../src/controller/stuck-pods-loop.ts'
import { createPodWatch } from '../../src/controller/runtime/pod-watch.ts'
import { createDecide } from '../../src/decision/resolve/decision-cache.ts'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject, OwnerReference } from '../../src/kube/object.ts'
import { createStuckPodMetrics } from '../../src/telemetry/stuck-pod-metrics.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'
import { failed, found, type Registries, registriesOf } from '../support/manifest-answers.ts'
import { anubis } from '../support/tables.ts'

const times: StuckPodsTimes = { afterMs: 0, evictionGapMs: 1, intervalMs: 20 }
const replicaSet = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs', controller: true } // prettier-ignore

let kube: FakeKube
let stop: AbortController
let running: Promise<void>
let metrics: Registry
let warnings: unknown[]

beforeEach(() => {
  kube = startFakeKube()
  stop = new AbortController()
  metrics = new Registry()
  warnings = []
})

afterEach(async () => {
  stop.abort()
  await running.catch(() => undefined)
})

interface PodInput {
  readonly to?: string
  readonly owner?: OwnerReference | null
  readonly createdAt?: string
  readonly reason?: string
  readonly row?: string
  readonly message?: string
}

/** A pod that asked for nginx:1 and that Berth gave another image. */
function pod(
  name: string,
  {
    to = 'anubis:32000/library/nginx:1',
    owner = replicaSet,
    createdAt = '2026-01-01T00:00:00Z',
    reason = 'ImagePullBackOff',
    row = 'hub',
    message = '',
  }: PodInput = {},
): KubeObject {
  const record = { site: 'containers/web', from: 'nginx:1', to, row, why: '' }
  return {
    metadata: {
      name,
      namespace: 'shop',
      creationTimestamp: createdAt,
      annotations: { 'berth.dev/images': JSON.stringify([record]) },
      ...(owner === null ? {} : { ownerReferences: [owner] }),
    },
    spec: {
      containers: [{ name: 'web', image: to }],
      volumes: [{ name: 'model', image: { reference: 'models.example/model:1' } }],
    },
    status: { containerStatuses: [{ name: 'web', state: { waiting: { reason, message } } }] },
  } as KubeObject
}

function start({ dependencies }: Registries, action: 'report' | 'recreate' = 'recreate'): void {
  const loop = createStuckPodsLoop(
    {
      api: kube.api,
      watch: createPodWatch(kube.api),
      action,
      openEngine: () => ({
        decide: createDecide(dependencies, {
          table: anubis,
          pin: { matches: () => false, unresolved: 'keep' },
        }),
        resolve: dependencies,
        close: () => Promise.resolve(),
      }),
      metrics: createStuckPodMetrics(metrics),
      log: { info: () => undefined, warn: (fields: unknown) => warnings.push(fields) } as never,
    },
    times,
  )
  running = loop.run(stop.signal)
}

const mirrorIsDown = registriesOf({ 'anubis:32000': failed('unreachable'), 'docker.io': found() })
const evictions = () =>
  kube.writes.filter(({ about }) => about.startsWith('pods') && about.includes('shop/'))
const events = () => kube.writes.filter(({ about }) => about.startsWith('events'))
const stuck = async (action: string) =>
  (await metrics.getSingleMetric('berth_stuck_pods')?.get())?.values.find(
    ({ labels }) => labels['action'] === action,
  )?.value

describe('the loop for stuck pods', () => {
  it('evicts a pod whose mirror is down if upstream has the image', async () => {
    kube.put('pods', pod('web-1'))
    start(mirrorIsDown)

    await vi.waitFor(() => expect(evictions()).toMatchObject([{ verb: 'create' }]))
    expect(events()).toHaveLength(1)
  })

  it.each<[string, Registries, PodInput]>([
    ['that would get the same image', registriesOf({ 'anubis:32000': found() }), {}],
    ['whose image no registry has', registriesOf({ 'anubis:32000': failed('unreachable') }), {}],
    ['that waits for something else', mirrorIsDown, { reason: 'CrashLoopBackOff' }],
    [
      'that waits for the image of a volume, which Berth did not change',
      mirrorIsDown,
      { message: 'Back-off pulling image "models.example/model:1": ErrImagePull: not found' },
    ],
    [
      'of an owner in conflict, whose new pod keeps the image too',
      registriesOf({ 'anubis:32000': found() }),
      { to: 'nginx:1', row: 'detected:image-conflict' },
    ],
  ])('leaves a pod %s', async (_, registries, input) => {
    kube.put('pods', pod('web-1', input))
    start(registries)
    await vi.waitFor(async () => expect(await stuck('recreate')).toBe(0))

    expect(kube.writes).toEqual([])
  })

  it.each<[string, OwnerReference | null]>([
    ['without a controller', null],
    ['of a Job', { ...replicaSet, kind: 'Job' }],
    ['of a node', { ...replicaSet, kind: 'Node' }],
  ])('only reports a pod %s', async (_, owner) => {
    kube.put('pods', pod('web-1', { owner }))
    start(mirrorIsDown)
    await vi.waitFor(async () => expect(await stuck('report')).toBe(1))

    expect(evictions()).toEqual([])
    expect(events()).toHaveLength(1)
  })

  it('only reports with `stuckPods: report`', async () => {
    kube.put('pods', pod('web-1'))
    start(mirrorIsDown, 'report')
    await vi.waitFor(async () => expect(await stuck('report')).toBe(1))

    expect(evictions()).toEqual([])
  })

  it('does not evict a recreated pod that waits for the same image', async () => {
    kube.put('pods', pod('web-1'))
    start(mirrorIsDown)
    await vi.waitFor(() => expect(evictions()).toHaveLength(1))
    kube.drop('pods', 'web-1', 'shop')
    kube.put('pods', pod('web-2', { createdAt: new Date(Date.now() + 60_000).toISOString() }))
    await vi.waitFor(() => expect(events()).toHaveLength(2))
    await vi.waitFor(async () => expect(await stuck('recreate')).toBe(1))

    expect(evictions()).toHaveLength(1)
  })

  it('goes on with other pods when a disruption budget does not allow an eviction', async () => {
    const budget = new KubeError(429, 'TooManyRequests', 'a disruption budget does not allow it')
    kube.refuseAlways(({ about }) => about.includes('web-1'), budget)
    kube.put('pods', pod('web-1'))
    kube.put('pods', pod('web-2'))
    start(mirrorIsDown)

    await vi.waitFor(() =>
      expect(evictions().some(({ about }) => about.includes('web-2'))).toBe(true),
    )
    expect(warnings).not.toEqual([])
  })
})
