import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createPodWatch } from '../../src/controller/runtime/pod-watch.ts'
import { createAvailabilityLoop } from '../../src/controller/availability-loop.ts'
import {
  type AvailabilityMemory,
  createAvailabilityMemory,
} from '../../src/controller/availability-memory.ts'
import { readConfig } from '../../src/config/load.ts'
import { createEngine } from '../../src/engine/decision-engine.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createAvailabilityMetrics } from '../../src/telemetry/availability-metrics.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'
import { type FakeRegistry, startFakeRegistry } from '../support/registry.ts'
import type { Behaviour } from '../support/registry-behaviour.ts'

const intervalMs = 60

let kube: FakeKube
let mirror: FakeRegistry
let upstream: FakeRegistry
let memory: AvailabilityMemory
let metrics: Registry
let stop: AbortController
let running: Promise<void>
let changes: Record<string, unknown>[]

beforeEach(async () => {
  kube = startFakeKube()
  mirror = await startFakeRegistry()
  upstream = await startFakeRegistry()
  memory = createAvailabilityMemory()
  changes = []
  for (const each of [mirror, upstream]) each.addManifest({ repository: 'app', tag: '1' })
  kube.put('pods', pod('web-1', `${mirror.host}/app:1`, `${upstream.host}/app:1`))
})

afterEach(async () => {
  await end()
  await mirror.close()
  await upstream.close()
})

async function end(): Promise<void> {
  stop.abort()
  await running.catch(() => undefined)
}

/** A pod that runs `to`, which Berth made of `from`. */
function pod(name: string, to: string, from = to, imageID = 'sha256:0'): KubeObject {
  const record = { site: 'containers/web', from, to, row: 'hub', why: '' }
  return {
    metadata: {
      name,
      namespace: 'shop',
      annotations: { 'berth.dev/images': JSON.stringify([record]) },
    },
    spec: { containers: [{ name: 'web', image: to }] },
    status: { phase: 'Running', containerStatuses: [{ name: 'web', imageID }] },
  } as KubeObject
}

function start(hosts: readonly string[] = [mirror.host, upstream.host]): void {
  const list = hosts.map((host) => `  - { host: '${host}', endpoint: 'http://${host}' }`)
  const source = `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries:\n${list.join('\n')}\n`
  const read = readConfig(source, '/')
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const { config } = read
  metrics = new Registry()
  stop = new AbortController()
  const log = (fields: object, message: string) => {
    if (message === 'image availability changed') changes.push({ ...fields })
  }
  running = createAvailabilityLoop({
    api: kube.api,
    watch: createPodWatch(kube.api),
    memory,
    settings: { intervalMs, perMinute: 60_000 },
    isPlainHttp: config.table.isPlainHttp,
    openEngine: () => createEngine(config, { secretsDirectory: '/nonexistent' }),
    metrics: createAvailabilityMetrics(metrics),
    log: { info: log, warn: log, debug: log } as never,
  }).run(stop.signal)
}

async function counts(source: string): Promise<Record<string, number>> {
  const values = (await metrics.getSingleMetric('berth_running_images')?.get())?.values ?? []
  return Object.fromEntries(
    values
      .filter(({ labels, value }) => labels['source'] === source && value > 0)
      .map(({ labels, value }) => [labels['state'], value]),
  )
}

const events = () => kube.writes.filter(({ about }) => about.startsWith('events'))
const heads = (registry: FakeRegistry) =>
  registry.requests.filter(({ method }) => method === 'HEAD').length
const eventually = (check: () => Promise<void> | void) => vi.waitFor(check, { timeout: 4_000 })

/** Makes the registry respond to manifest requests with this. */
function respond(registry: FakeRegistry, behaviour: Behaviour | null): void {
  registry.behave(() => behaviour)
}

describe('createAvailabilityLoop', () => {
  it('counts images that their registry and upstream have, with HEAD alone', async () => {
    start()
    await eventually(async () => expect(await counts('upstream')).toEqual({ available: 1 }))
    await eventually(async () => expect(await counts('registry')).toEqual({ available: 1 }))
    await eventually(() => expect(heads(mirror)).toBeGreaterThan(2))

    expect(mirror.requests.every(({ method }) => method === 'HEAD')).toBe(true)
    expect(events()).toEqual([])
  })

  it('does not report an image as gone after one 404', async () => {
    start()
    await eventually(async () => expect(await counts('registry')).toEqual({ available: 1 }))
    let sent = 0
    mirror.behave(() => (sent++ === 0 ? { status: 404 } : null))
    const asked = heads(mirror)
    await eventually(() => expect(heads(mirror)).toBeGreaterThan(asked + 3))

    expect(await counts('registry')).toEqual({ available: 1 })
    expect(changes.filter(({ state }) => state === 'gone')).toEqual([])
    expect(events()).toEqual([])
  })

  it('reports an image as gone after two 404 responses, with one Event, until it exists again', async () => {
    start()
    await eventually(async () => expect(await counts('registry')).toEqual({ available: 1 }))
    respond(mirror, { status: 404 })
    await eventually(() => expect(events()).toHaveLength(1))
    await eventually(async () => expect(await counts('registry')).toEqual({ gone: 1 }))
    const asked = heads(mirror)
    await eventually(() => expect(heads(mirror)).toBeGreaterThan(asked + 2))
    expect(events()).toHaveLength(1)
    const [, , name = ''] = /^events (\S+)\/(\S+)$/.exec(events()[0]?.about ?? '') ?? []
    expect(kube.get('events', name, 'shop')).toMatchObject({
      reason: 'ImageGone',
      involvedObject: { kind: 'Pod', name: 'web-1' },
      message: expect.stringContaining(`the registry no longer has ${mirror.host}/app:1`),
    })

    respond(mirror, null)
    await eventually(async () => expect(await counts('registry')).toEqual({ available: 1 }))
    expect(changes.at(-1)).toMatchObject({ before: 'gone', state: 'available' })
  })

  it('reports that upstream no longer has the image of a copy', async () => {
    respond(upstream, { status: 404 })
    start()
    await eventually(async () => expect(await counts('upstream')).toEqual({ gone: 1 }))

    expect(await counts('registry')).toEqual({ available: 1 })
    expect(changes).toContainEqual(expect.objectContaining({ source: 'upstream', state: 'gone' }))
  })

  it.each<[string, Behaviour]>([
    ['401', { status: 401 }],
    ['403', { status: 403 }],
    ['500', { status: 500 }],
    ['a connection that ends', { raw: '' }],
  ])('counts an image as unknown after %s', async (_, behaviour) => {
    start()
    await eventually(async () => expect(await counts('registry')).toEqual({ available: 1 }))
    respond(mirror, behaviour)
    await eventually(async () => expect(await counts('registry')).toEqual({ unknown: 1 }))

    expect(await counts('upstream')).toEqual({ available: 1 })
    expect(events()).toEqual([])
  })

  it('keeps an image gone while its registry does not answer', async () => {
    respond(mirror, { status: 404 })
    start()
    await eventually(async () => expect(await counts('registry')).toEqual({ gone: 1 }))
    const asked = mirror.requests.length
    respond(mirror, { status: 500 })
    await eventually(() => expect(mirror.requests.length).toBeGreaterThan(asked + 1))

    expect(await counts('registry')).toEqual({ gone: 1 })
  })

  it('sends a registry no requests for the time of Retry-After, and checks the others', async () => {
    kube.put('pods', pod('web-2', `${mirror.host}/other:1`))
    respond(mirror, { status: 429, headers: { 'retry-after': '60' } })
    start()
    await eventually(() => expect(heads(upstream)).toBeGreaterThan(5))

    expect(heads(mirror)).toBe(1)
    expect(await counts('registry')).toEqual({ unknown: 2 })
  })

  it('does not contact a registry until the config lists it', async () => {
    start([upstream.host])
    await eventually(async () => expect(await counts('upstream')).toEqual({ available: 1 }))
    expect(await counts('registry')).toEqual({ unknown: 1 })
    expect(mirror.requests).toEqual([])
    expect([...memory.images.values()].map(({ detail }) => detail)).toContain(
      `${mirror.host} is not listed under registries`,
    )
    await end()

    start()
    await eventually(async () => expect(await counts('registry')).toEqual({ available: 1 }))
  })

  it('keeps what it knows when the config is reloaded', async () => {
    respond(mirror, { status: 404 })
    start()
    await eventually(async () => expect(await counts('registry')).toEqual({ gone: 1 }))
    await end()
    respond(mirror, { status: 500 })
    start()
    await eventually(async () => expect(await counts('registry')).toEqual({ gone: 1 }))
    expect(events()).toHaveLength(1)
  })

  it('leaves out images that no node has pulled, and forgets those of deleted pods', async () => {
    kube.put('pods', pod('typo', `${mirror.host}/typo:1`, undefined, ''))
    start()
    await eventually(async () => expect(await counts('registry')).toEqual({ available: 1 }))
    expect(memory.images.size).toBe(2)
    kube.drop('pods', 'web-1', 'shop')
    await eventually(() => expect(memory.images.size).toBe(0))
    await eventually(async () => expect(await counts('registry')).toEqual({}))
  })
})
