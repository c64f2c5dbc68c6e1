import { PassThrough } from 'node:stream'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { createMirrorLoop } from '../../src/controller/mirror-loop.ts'
import type { KubeApi } from '../../src/kube/api-client.ts'
import { createConnections } from '../../src/registry/connections.ts'
import { systemClock } from '../../src/registry/http/retry-policy.ts'
import { createRegistryClient } from '../../src/registry/registry-client.ts'
import { createLogs } from '../../src/telemetry/log.ts'
import { createMirrorMetrics } from '../../src/telemetry/mirror-metrics.ts'
import { bytes, startStore, type Store } from '../support/store-registry.ts'

let source: Store
let mirror: Store
let stop: AbortController
let running: Promise<void>
let events: PassThrough
let figures: Registry

beforeEach(async () => {
  source = await startStore()
  mirror = await startStore()
  stop = new AbortController()
  events = new PassThrough()
  figures = new Registry()
})

afterEach(async () => {
  stop.abort()
  await running
  await source.close()
  await mirror.close()
})

function pod(name: string, ...images: string[]) {
  const containers = images.map((image, index) => ({ name: `c${index}`, image }))
  return { metadata: { name, namespace: 'shop', resourceVersion: '1' }, spec: { containers } }
}

/** As much of an API server as watching pods takes. */
function apiOf(pods: readonly object[]): KubeApi {
  return {
    list: async function* () {
      yield* pods
      return { resourceVersion: '1' }
    },
    watch: () => Promise.resolve(events),
  } as unknown as KubeApi
}

function start(pods: readonly object[], atOnce = 1): void {
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
    api: apiOf(pods),
    table: config.table,
    settings: { ...config.mirror, atOnce },
    createRepository: null,
    openRegistries: () =>
      createRegistryClient(
        createConnections({
          registries: config.registries,
          keychainFor: () => ({ lookup: () => Promise.resolve([]) }),
          now: () => Date.now(),
        }),
        systemClock,
      ),
    log: createLogs('info', new PassThrough()).log,
    metrics: createMirrorMetrics(figures),
  })
  running = loop.run(stop.signal)
}

const figure = async (name: string) =>
  (await figures.getSingleMetric(name)?.get())?.values[0]?.value
const tagged = () =>
  mirror.log().flatMap((line) => /^PUT \/v2\/(.+)\/manifests\/1$/.exec(line)?.[1] ?? [])
const until = (condition: () => void | Promise<void>) => vi.waitFor(condition, { timeout: 10_000 })

it('the fewest bytes come first, and of equals what most pods run; upstream is read once', async () => {
  source.addImage('shop/large', '1', { layers: [bytes(90_000, 'large')] })
  source.addImage('shop/rare', '1', { layers: [bytes(1_000, 'a')] })
  source.addImage('shop/used', '1', { layers: [bytes(1_000, 'b')] })
  start([
    pod('one', 'shop/large:1', 'shop/rare:1'),
    pod('two', 'shop/used:1'),
    pod('three', 'shop/used:1', 'shop/gone:1'),
  ])

  await until(() => expect(tagged()).toEqual(['shop/used', 'shop/rare', 'shop/large']))
  await until(async () => expect(await figure('berth_mirror_backlog')).toBe(0))
  expect(
    source.requests.filter(({ method, path }) => method === 'GET' && path.includes('/manifests/')),
  ).toHaveLength(3)
  expect(await figure('berth_mirror_images')).toBe(4)
  expect(await figure('berth_mirror_images_present')).toBe(3)
})

it('a pod that comes later is seen to', async () => {
  source.addImage('shop/late', '1')
  start([])
  events.write(`${JSON.stringify({ type: 'ADDED', object: pod('late', 'shop/late:1') })}\n`)

  await until(() => expect(tagged()).toEqual(['shop/late']))
})

it('one image that fails does not hold up the others', async () => {
  source.addImage('shop/bad', '1', { layers: [bytes(10, 'bad')] })
  source.addImage('shop/good', '1', { layers: [bytes(5_000, 'good')] })
  mirror.fault(({ method, path }) =>
    method === 'POST' && path.includes('shop/bad') ? { status: 403 } : null,
  )
  start([pod('both', 'shop/bad:1', 'shop/good:1')])

  await until(() => expect(tagged()).toEqual(['shop/good']))
  await until(async () => expect(await figure('berth_mirror_failures_total')).toBe(1))
})
