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
import { addSignatureTag, ecdsaKey, signBytes, simpleSigningPayload } from '../support/cosign.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'
import { bytes, startStore, type Store } from '../support/store-registry.ts'

let source: Store
let mirror: Store
let stop: AbortController
let running: Promise<void>
let kube: FakeKube
let metrics: Registry
let logLines: string[]

beforeEach(async () => {
  source = await startStore()
  mirror = await startStore()
  stop = new AbortController()
  kube = startFakeKube()
  metrics = new Registry()
  logLines = []
})

afterEach(async () => {
  vi.useRealTimers()
  stop.abort()
  await running
  await source.close()
  await mirror.close()
})

function pod(name: string, ...images: string[]) {
  const containers = images.map((image, index) => ({ name: `c${index}`, image }))
  return { metadata: { name, namespace: 'shop' }, spec: { containers } }
}

function start(pods: readonly KubeObject[], atOnce = 1, more = ''): void {
  for (const each of pods) kube.put('pods', each)
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${source.url}' }
  - { host: quay.io, endpoint: '${source.url}' }
fallback:
  - { name: flat, images: ['docker.io/flat/*', 'quay.io/flat/*'], try: ['mirror.example/flat/{name}', '{host}/{path}'] }
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
${more}`,
    '/',
  )
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const { config } = read
  const output = new PassThrough()
  output.on('data', (chunk) => logLines.push(...String(chunk).trim().split('\n')))
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
    log: createLogs('info', output).log,
    metrics: createMirrorMetrics(metrics),
  })
  running = loop.run(stop.signal)
}

const metric = async (name: string) =>
  (await metrics.getSingleMetric(name)?.get())?.values[0]?.value
/** The images by state, without the states that no image has. */
const states = async () =>
  Object.fromEntries(
    ((await metrics.getSingleMetric('berth_mirror_images')?.get())?.values ?? [])
      .filter(({ value }) => value !== 0)
      .map(({ labels, value }) => [labels['state'], value]),
  )
const unmirrored = () =>
  logLines
    .map((line) => JSON.parse(line) as Record<string, string>)
    .filter(({ msg }) => msg === 'image not mirrored')
    .map(({ image, state, problem }) => ({ image, state, problem }))
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
    expect(await states()).toEqual({ mirrored: 3, absent: 1 })
    expect(await metric('berth_mirror_images_present')).toBe(3)
  })

  it('does not copy an image that mirror.verify refuses, and copies it when it is signed', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true })
    const key = ecdsaKey()
    const digest = source.addImage('shop/app', '1')
    source.addImage('shop/other', '1')
    const rule = { images: ['docker.io/shop/app'], cosign: { key: key.publicPem } }
    start(
      [pod('app', 'shop/app:1', 'shop/other:1')],
      1,
      `mirror: ${JSON.stringify({ verify: [rule] })}\n`,
    )

    await until(async () => expect(await states()).toEqual({ mirrored: 1, refused: 1 }))
    expect(mirroredRepositories()).toEqual(['shop/other'])
    expect(unmirrored()).toEqual([
      {
        image: 'mirror.example/shop/app:1',
        state: 'refused',
        problem: expect.stringMatching(
          /^mirror\.verify\[0\] \(docker\.io\/shop\/app\) refuses it/,
        ) as string,
      },
    ])

    const payload = simpleSigningPayload(digest)
    const signature = signBytes(key, payload)
    addSignatureTag(source, 'shop/app', digest, [{ payload, signature }])
    await vi.advanceTimersByTimeAsync(16_000)
    await until(async () => expect(await states()).toEqual({ mirrored: 2 }))
    expect(mirror.tags.get('shop/app')?.size).toBe(2)
  })

  it('copies the image of a new pod', async () => {
    source.addImage('shop/late', '1')
    start([])
    kube.put('pods', pod('late', 'shop/late:1'))

    await until(() => expect(mirroredRepositories()).toEqual(['shop/late']))
  })

  it('does not copy the images of operators that compare them, which the webhook leaves unchanged', async () => {
    source.addImage('shop/db', '1')
    source.addImage('shop/app', '1')
    const database = pod('db', 'shop/db:1')
    const owner = { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', name: 'db', uid: '1' }
    start([
      { ...database, metadata: { ...database.metadata, ownerReferences: [owner] } },
      pod('app', 'shop/app:1'),
    ])

    await until(async () => expect(await states()).toEqual({ mirrored: 1 }))
    expect(mirroredRepositories()).toEqual(['shop/app'])
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

  it('counts each image that the mirror lacks by its state, and logs it once', async () => {
    source.addImage('shop/refused', '1')
    source.addImage('flat/app', '1')
    mirror.fault(({ method, path }) =>
      method === 'POST' && path.includes('shop/refused') ? { status: 403 } : null,
    )
    start([
      pod('one', 'shop/refused:1', 'shop/gone:1'),
      pod('two', 'flat/app:1', 'quay.io/flat/app:1'),
    ])
    const expected = { denied: 1, absent: 1, conflict: 1, mirrored: 1 }
    await until(async () => expect(await states()).toEqual(expected))
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 })
    mirror.forgetRequests()
    kube.put('pods', pod('three', 'shop/gone:1'))
    await until(() => expect(mirror.log()).toContain('HEAD /v2/shop/gone/manifests/1'))

    await until(async () => expect(await states()).toEqual(expected))
    expect(unmirrored()).toHaveLength(3)
    expect(unmirrored()).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ image: 'mirror.example/shop/refused:1', state: 'denied' }),
        expect.objectContaining({ image: 'mirror.example/shop/gone:1', state: 'absent' }),
        expect.objectContaining({ image: 'mirror.example/flat/app:1', state: 'conflict' }),
      ]),
    )
  })

  it('copies an image that was deleted from the mirror as soon as a new pod needs it', async () => {
    source.addImage('shop/app', '1')
    start([pod('first', 'shop/app:1')])
    await until(async () => expect(await states()).toEqual({ mirrored: 1 }))
    mirror.tags.get('shop/app')?.clear()
    mirror.forgetRequests()
    source.forgetRequests()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 31_000 })
    kube.put('pods', pod('second', 'shop/app:1'))

    await until(() => expect(mirroredRepositories()).toEqual(['shop/app']))
    await until(async () => expect(await states()).toEqual({ mirrored: 1 }))
  })

  it('asks only the mirror when a new pod needs an image that is there', async () => {
    source.addImage('shop/app', '1')
    start([pod('first', 'shop/app:1')])
    await until(async () => expect(await states()).toEqual({ mirrored: 1 }))
    mirror.forgetRequests()
    source.forgetRequests()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 31_000 })
    kube.put('pods', pod('second', 'shop/app:1'))
    await until(() => expect(mirror.log()).toEqual(['HEAD /v2/shop/app/manifests/1']))

    expect(source.log()).toEqual([])
  })

  it('exports no image after it has stopped', async () => {
    source.addImage('shop/app', '1')
    start([pod('first', 'shop/app:1')])
    await until(async () => expect(await states()).toEqual({ mirrored: 1 }))
    stop.abort()
    await running

    expect(await states()).toEqual({})
  })
})
