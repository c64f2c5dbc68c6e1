import { Registry } from 'prom-client'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createDiagnoser } from '../../src/diagnose/evidence/diagnose-cluster.ts'
import { pullFailuresLoop } from '../../src/controller/pull-failures-loop.ts'
import type { KubeApi } from '../../src/kube/api-client.ts'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject, ResourceRef } from '../../src/kube/object.ts'
import { createPullFailureMetrics } from '../../src/telemetry/pull-failure-metrics.ts'

const missing =
  'failed to pull and unpack image "mirror.example/team/app:2": failed to resolve reference "mirror.example/team/app:2": mirror.example/team/app:2: not found'
const denied =
  'failed to pull and unpack image "mirror.example/team/app:1": failed to resolve reference "mirror.example/team/app:1": failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized'

interface PodFacts {
  readonly name?: string
  readonly uid?: string
  readonly image?: string
  readonly reason?: string
  readonly message?: string
  readonly secrets?: readonly string[]
}

function pod({
  name = 'web-0',
  uid = name,
  image = 'mirror.example/team/app:2',
  reason = 'ErrImagePull',
  message = missing,
  secrets = [],
}: PodFacts = {}): KubeObject {
  const state = { waiting: { reason, message } }
  return {
    metadata: { name, namespace: 'team', uid, resourceVersion: '1' },
    spec: {
      containers: [{ name: 'main', image, env: [{ name: 'CANARY', value: 'kept by nobody' }] }],
      imagePullSecrets: secrets.map((secret) => ({ name: secret })),
    },
    status: { containerStatuses: [{ name: 'main', image, state }] },
  } as KubeObject
}

const running = (name = 'web-0'): KubeObject => pod({ name, reason: 'ContainerCreating' })

interface Written {
  readonly metadata: { readonly name: string }
  readonly involvedObject: { readonly uid: string }
  readonly message: string
  readonly reason: string
}

/** An API server with pods, which tells of changes; Events are written once for each name. */
function cluster(pods: readonly KubeObject[]) {
  const events = new Map<string, Written>()
  const tries: string[] = []
  const looks: string[] = []
  const asked: string[] = []
  const refusals: KubeError[] = []
  const early: string[] = []
  let send = (line: string) => void early.push(line)
  const api = {
    list: async function* () {
      await Promise.resolve()
      yield* pods
      return { resourceVersion: '1' }
    },
    watch: (_where: ResourceRef, _query: object, { signal }: { signal: AbortSignal }) => {
      const { readable, writable } = new TransformStream<Buffer, Buffer>()
      const writer = writable.getWriter()
      send = (line) => void writer.write(Buffer.from(`${line}\n`)).catch(() => undefined)
      for (const line of early.splice(0)) send(line)
      signal.addEventListener('abort', () => void writer.abort().catch(() => undefined))
      return Promise.resolve(readable)
    },
    get: ({ resource, name = '' }: ResourceRef) => {
      if (resource === 'events') {
        looks.push(name)
        return Promise.resolve(events.get(name) ?? null)
      }
      asked.push(`${resource}/${name}`)
      return Promise.resolve(null)
    },
    create: (_where: ResourceRef, object: Written) => {
      tries.push(object.metadata.name)
      const refusal = refusals.shift()
      if (refusal !== undefined) return Promise.reject(refusal)
      if (events.has(object.metadata.name))
        return Promise.reject(new KubeError(409, 'AlreadyExists', 'is there'))
      events.set(object.metadata.name, object)
      return Promise.resolve(object)
    },
    reconnect: () => {},
  } as unknown as KubeApi
  const change = (type: string, object: KubeObject) => send(JSON.stringify({ type, object }))
  return { api, events, tries, looks, asked, refusals, change }
}

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function start(pods: readonly KubeObject[], { readSecrets = false, staysMs = 0 } = {}) {
  const fake = cluster(pods)
  const registry = new Registry()
  const metrics = createPullFailureMetrics(registry)
  const lines: string[] = []
  const note = (level: string) => (_facts: object, text: string) =>
    void lines.push(`${level}: ${text}`)
  const begin = () => {
    const stop = new AbortController()
    const loop = pullFailuresLoop(
      {
        api: fake.api,
        createDiagnoser: () => createDiagnoser(fake.api, readSecrets),
        hosts: new Set(['mirror.example']),
        metrics,
        log: { info: note('info'), warn: note('warn'), debug: note('debug') } as never,
      },
      { staysMs, leastMs: 1 },
    )
    const ended = loop.run(stop.signal).catch(() => undefined)
    const end = async () => {
      stop.abort()
      await ended
    }
    stops.push(end)
    return end
  }
  const end = begin()
  const gauge = async () =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith('berth_pull_failures{'))
  return { ...fake, lines, gauge, begin, end }
}

const told = (events: ReadonlyMap<string, Written>) => [...events.values()]
const twoTries = (name: string) =>
  [
    pod({ name, reason: 'ImagePullBackOff', message: `Back-off pulling image: ${missing}` }),
    pod({ name, reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' }),
    pod({ name }),
  ] as const

describe('a pod that stays without an image', () => {
  it('gets one Event, however often the kubelet tries again', async () => {
    const { events, change, gauge, tries } = start([pod()])
    await vi.waitFor(() => expect(events.size).toBe(1))
    for (const again of twoTries('web-0')) change('MODIFIED', again)
    change('ADDED', pod({ name: 'web-1' }))
    await vi.waitFor(() => expect(events.size).toBe(2))

    expect(tries).toHaveLength(2)
    expect(told(events)[0]).toMatchObject({
      reason: 'ImagePullDiagnosed',
      involvedObject: { kind: 'Pod', namespace: 'team', name: 'web-0', uid: 'web-0' },
    })
    expect(told(events)[0]?.message).toMatch(
      /^mirror\.example\/team\/app:2 does not come: .* \[not-found, likely, D40\]\. Fix: /,
    )
    expect(await gauge()).toEqual([
      'berth_pull_failures{cause="not-found",registry="mirror.example"} 2',
    ])
  })

  it('gets another for another cause, and one for a pod that has its name later', async () => {
    const { events, change } = start([pod()])
    await vi.waitFor(() => expect(events.size).toBe(1))
    change('MODIFIED', pod({ message: denied }))
    await vi.waitFor(() => expect(events.size).toBe(2))
    change('MODIFIED', pod())
    change('MODIFIED', pod({ uid: 'another' }))
    await vi.waitFor(() => expect(events.size).toBe(3))

    expect(told(events).map(({ involvedObject }) => involvedObject.uid)).toEqual([
      'web-0',
      'web-0',
      'another',
    ])
  })

  it('gets none anew from a controller that is begun again', async () => {
    const { events, end, begin, looks } = start([pod()])
    await vi.waitFor(() => expect(events.size).toBe(1))
    await end()
    begin()
    await vi.waitFor(() => expect(looks).toHaveLength(2))

    expect(events.size).toBe(1)
  })

  it('gets none before it has stayed so', async () => {
    const { tries, gauge } = start([pod()], { staysMs: 3_600_000 })
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(1))

    expect(tries).toEqual([])
  })

  it('is told of later when the API server does not answer', async () => {
    const { events, refusals, change, tries } = start([])
    refusals.push(new KubeError(null, '', 'does not answer'))
    change('ADDED', pod())
    await vi.waitFor(() => expect(tries).toHaveLength(1))
    change('MODIFIED', pod())
    await vi.waitFor(() => expect(events.size).toBe(1))

    expect(told(events)[0]?.involvedObject.uid).toBe('web-0')
  })

  it('is not told of when nobody knows the cause', async () => {
    const { gauge, tries } = start([pod({ message: 'something that no rule knows' })])
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(1))

    expect(await gauge()).toEqual([
      'berth_pull_failures{cause="unknown",registry="mirror.example"} 1',
    ])
    expect(tries).toEqual([])
  })
})

describe('the figure', () => {
  it('goes with the pod, and when another replica leads', async () => {
    const elsewhere = pod({ name: 'web-1', image: 'elsewhere.example/app:2' })
    const { change, gauge, end } = start([pod(), elsewhere, running('web-2')])
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(2))
    expect(await gauge()).toContain('berth_pull_failures{cause="not-found",registry="other"} 1')
    change('DELETED', elsewhere)
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(1))
    change('MODIFIED', running())
    await vi.waitFor(async () => expect(await gauge()).toEqual([]))
    change('MODIFIED', pod())
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(1))
    await end()

    expect(await gauge()).toEqual([])
  })
})

describe('secrets', () => {
  const named = pod({ image: 'mirror.example/team/app:1', message: denied, secrets: ['pull'] })

  it('are not read unless the config says so', async () => {
    const { events, asked } = start([named])
    await vi.waitFor(() => expect(events.size).toBe(1))

    expect(asked).toEqual([])
    expect(told(events)[0]?.message).not.toContain('pull-secret-missing')
  })

  it('are read then, and the verdict names the one that is at fault', async () => {
    const { events, asked } = start([named], { readSecrets: true })
    await vi.waitFor(() => expect(events.size).toBe(1))

    expect(asked).toContain('secrets/pull')
    expect(told(events)[0]?.message).toContain('(pull) [pull-secret-missing, likely, D05]')
    expect(told(events)[0]?.message).toContain('kubectl create secret docker-registry pull -n team')
  })
})

describe('without the rights', () => {
  it('to write Events it says so once, and counts', async () => {
    const { lines, refusals, change, gauge, tries } = start([])
    refusals.push(new KubeError(403, 'Forbidden', 'no'), new KubeError(403, 'Forbidden', 'no'))
    change('ADDED', pod())
    change('ADDED', pod({ name: 'web-1' }))
    await vi.waitFor(() => expect(tries).toHaveLength(2))

    expect(await gauge()).toHaveLength(1)
    expect(lines).toEqual(['warn: an Event was not written', 'debug: an Event was not written'])
  })
})
