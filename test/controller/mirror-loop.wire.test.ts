import { PassThrough } from 'node:stream'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { createMirrorLoop } from '../../src/controller/mirror-loop.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createByteBudget } from '../../src/async/byte-budget.ts'
import { bodyBudgetBytes } from '../../src/registry/http/response-body.ts'
import { createConnections } from '../../src/registry/connections.ts'
import { systemClock } from '../../src/registry/http/retry-policy.ts'
import { createRegistryClient } from '../../src/registry/registry-client.ts'
import { createLogs } from '../../src/telemetry/log.ts'
import { createMirrorMetrics } from '../../src/telemetry/mirror-metrics.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'
import { bytes, startStore, type Store } from '../support/store-registry.ts'

let source: Store
let mirror: Store
let stop: AbortController
let running: Promise<void>
let kube: FakeKube
let metrics: Registry

beforeEach(async () => {
  source = await startStore()
  mirror = await startStore()
  stop = new AbortController()
  kube = startFakeKube()
  metrics = new Registry()
})

afterEach(async () => {
  stop.abort()
  await running
  await source.close()
  await mirror.close()
})

function pod(name: string, ...images: string[]) {
  const containers = images.map((image, index) => ({ name: `c${index}`, image }))
  return { metadata: { name, namespace: 'shop' }, spec: { containers } }
}

function start(pods: readonly KubeObject[], atOnce = 1): void {
  for (const each of pods) kube.put('pods', each)
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${source.url}' }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
`,
    '/',
  )
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const { config } = read
  const loop = createMirrorLoop({
    api: kube.api,
    table: config.table,
    settings: { ...config.mirror, atOnce },
    createRepository: null,
    openRegistries: () =>
      createRegistryClient(
        createConnections({
          registries: config.registries,
          keychainFor: () => ({ lookup: () => Promise.resolve([]) }),
          now: () => Date.now(),
          bodyBudget: createByteBudget(bodyBudgetBytes.controller),
        }),
        systemClock,
      ),
    log: createLogs('info', new PassThrough()).log,
    metrics: createMirrorMetrics(metrics),
  })
  running = loop.run(stop.signal)
}

const metric = async (name: string) =>
  (await metrics.getSingleMetric(name)?.get())?.values[0]?.value
const mirroredRepositories = () =>
  mirror.log().flatMap((line) => /^PUT \/v2\/(.+)\/manifests\/1$/.exec(line)?.[1] ?? [])
const until = (condition: () => void | Promise<void>) => vi.waitFor(condition, { timeout: 10_000 })

describe('the mirror loop', () => {
  it('copies the smallest images first, of equal ones the most used, and reads each manifest once', async () => {
    source.addImage('shop/large', '1', { layers: [bytes(90_000, 'large')] })
    source.addImage('shop/rare', '1', { layers: [bytes(1_000, 'a')] })
    source.addImage('shop/used', '1', { layers: [bytes(1_000, 'b')] })
    start([
      pod('one', 'shop/large:1', 'shop/rare:1'),
      pod('two', 'shop/used:1'),
      pod('three', 'shop/used:1', 'shop/gone:1'),
    ])

    await until(() =>
      expect(mirroredRepositories()).toEqual(['shop/used', 'shop/rare', 'shop/large']),
    )
    await until(async () => expect(await metric('berth_mirror_backlog')).toBe(0))
    expect(
      source.requests.filter(
        ({ method, path }) => method === 'GET' && path.includes('/manifests/'),
      ),
    ).toHaveLength(3)
    expect(await metric('berth_mirror_images')).toBe(4)
    expect(await metric('berth_mirror_images_present')).toBe(3)
  })

  it('copies the image of a new pod', async () => {
    source.addImage('shop/late', '1')
    start([])
    kube.put('pods', pod('late', 'shop/late:1'))

    await until(() => expect(mirroredRepositories()).toEqual(['shop/late']))
  })

  it('continues with other images after one fails', async () => {
    source.addImage('shop/bad', '1', { layers: [bytes(10, 'bad')] })
    source.addImage('shop/good', '1', { layers: [bytes(5_000, 'good')] })
    mirror.fault(({ method, path }) =>
      method === 'POST' && path.includes('shop/bad') ? { status: 403 } : null,
    )
    start([pod('both', 'shop/bad:1', 'shop/good:1')])

    await until(() => expect(mirroredRepositories()).toEqual(['shop/good']))
    await until(async () => expect(await metric('berth_mirror_failures_total')).toBe(1))
  })
})
