import { Registry } from 'prom-client'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createDiagnoser } from '../../src/diagnose/evidence/diagnose-cluster.ts'
import { createPullFailuresLoop } from '../../src/controller/pull-failures-loop.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createPodWatch } from '../../src/controller/runtime/pod-watch.ts'
import { createPullFailureMetrics } from '../../src/telemetry/pull-failure-metrics.ts'
import { startFakeKube } from '../support/fake-kube.ts'

const missing =
  'failed to pull and unpack image "mirror.example/team/app:2": failed to resolve reference "mirror.example/team/app:2": mirror.example/team/app:2: not found'
const denied =
  'failed to pull and unpack image "mirror.example/team/app:1": failed to resolve reference "mirror.example/team/app:1": failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized'

interface PodOptions {
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
}: PodOptions = {}): KubeObject {
  const state = { waiting: { reason, message } }
  return {
    metadata: { name, namespace: 'team', uid },
    spec: {
      containers: [{ name: 'main', image, env: [{ name: 'CANARY', value: 'not kept' }] }],
      imagePullSecrets: secrets.map((secret) => ({ name: secret })),
    },
    status: { containerStatuses: [{ name: 'main', image, state }] },
  } as KubeObject
}

const running = (name = 'web-0'): KubeObject => pod({ name, reason: 'ContainerCreating' })

interface RecordedEvent extends KubeObject {
  readonly involvedObject: { readonly uid: string }
  readonly message: string
  readonly reason: string
}

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function start(pods: readonly KubeObject[], { readSecrets = false, reportAfterMs = 0 } = {}) {
  const kube = startFakeKube()
  for (const each of pods) kube.put('pods', each)
  const registry = new Registry()
  const metrics = createPullFailureMetrics(registry)
  const lines: string[] = []
  const logTo = (level: string) => (_fields: object, text: string) =>
    void lines.push(`${level}: ${text}`)
  const startLoop = () => {
    const stop = new AbortController()
    const loop = createPullFailuresLoop(
      {
        api: kube.api,
        watch: createPodWatch(kube.api),
        createDiagnoser: () => createDiagnoser(kube.api, readSecrets),
        hosts: new Set(['mirror.example']),
        metrics,
        log: { info: logTo('info'), warn: logTo('warn'), debug: logTo('debug') } as never,
      },
      { reportAfterMs, minIntervalMs: 1 },
    )
    const ended = loop.run(stop.signal).catch(() => undefined)
    const end = async () => {
      stop.abort()
      await ended
    }
    stops.push(end)
    return end
  }
  const end = startLoop()
  const gauge = async () =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith('berth_pull_failures{'))
  /** The Events that exist, oldest first. */
  const events = () =>
    [...new Set(attempts())].flatMap((about) => {
      const [namespace = '', name = ''] = about.replace('events ', '').split('/')
      return (kube.get('events', name, namespace) ?? []) as RecordedEvent | []
    })
  /** The writes of Events, rejected ones too. */
  const attempts = () =>
    kube.writes.map(({ about }) => about).filter((about) => about.startsWith('events '))
  return { kube, events, attempts, lines, gauge, startLoop, end }
}

/** The statuses that a pod alternates between while the kubelet retries. */
const retries = (name: string) =>
  [
    pod({ name, reason: 'ImagePullBackOff', message: `Back-off pulling image: ${missing}` }),
    pod({ name, reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' }),
    pod({ name }),
  ] as const

const anyEvent = /^events /

describe('a failing pod', () => {
  it('gets one Event, however often the kubelet retries', async () => {
    const { kube, events, attempts, gauge } = start([pod()])
    await vi.waitFor(() => expect(events()).toHaveLength(1))
    for (const retry of retries('web-0')) kube.put('pods', retry)
    kube.put('pods', pod({ name: 'web-1' }))
    await vi.waitFor(() => expect(events()).toHaveLength(2))

    expect(attempts()).toHaveLength(2)
    expect(events()[0]).toMatchObject({
      reason: 'ImagePullDiagnosed',
      involvedObject: { kind: 'Pod', namespace: 'team', name: 'web-0', uid: 'web-0' },
    })
    expect(events()[0]?.message).toMatch(
      /^cannot pull mirror\.example\/team\/app:2: .* \[not-found, likely, D40\]\. Fix: /,
    )
    expect(await gauge()).toEqual([
      'berth_pull_failures{cause="not-found",registry="mirror.example"} 2',
    ])
  })

  it('gets another Event for another cause, and so does a new pod with its name', async () => {
    const { kube, events } = start([pod()])
    await vi.waitFor(() => expect(events()).toHaveLength(1))
    kube.put('pods', pod({ message: denied }))
    await vi.waitFor(() => expect(events()).toHaveLength(2))
    kube.put('pods', pod())
    kube.put('pods', pod({ uid: 'another' }))
    await vi.waitFor(() => expect(events()).toHaveLength(3))

    expect(events().map(({ involvedObject }) => involvedObject.uid)).toEqual([
      'web-0',
      'web-0',
      'another',
    ])
  })

  it('gets no second Event from a restarted controller', async () => {
    const { events, attempts, end, startLoop } = start([pod()])
    await vi.waitFor(() => expect(events()).toHaveLength(1))
    await end()
    startLoop()
    await vi.waitFor(() => expect(attempts()).toHaveLength(2))

    expect(events()).toHaveLength(1)
  })

  it('gets no Event before the reporting delay has passed', async () => {
    const { attempts, gauge } = start([pod()], { reportAfterMs: 3_600_000 })
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(1))

    expect(attempts()).toEqual([])
  })

  it('gets its Event later when the API server does not answer', async () => {
    const { kube, events, attempts } = start([])
    kube.refuse(anyEvent, null)
    kube.put('pods', pod())
    await vi.waitFor(() => expect(attempts()).not.toEqual([]))
    kube.put('pods', pod())
    await vi.waitFor(() => expect(events()).not.toEqual([]))

    expect(events()[0]?.involvedObject.uid).toBe('web-0')
  })

  it('gets no Event when no rule matches', async () => {
    const { gauge, attempts } = start([pod({ message: 'something that no rule knows' })])
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(1))

    expect(await gauge()).toEqual([
      'berth_pull_failures{cause="unknown",registry="mirror.example"} 1',
    ])
    expect(attempts()).toEqual([])
  })
})

describe('an image volume that cannot be pulled', () => {
  const message = missing.replaceAll('mirror.example/team/app:2', 'elsewhere.example/model:1')
  const failing = () => {
    const web = pod({ image: 'mirror.example/team/app:2', message })
    const volumes = [{ name: 'model', image: { reference: 'elsewhere.example/model:1' } }]
    return { ...web, spec: { ...(web as unknown as { spec: object }).spec, volumes } }
  }

  it('is the image of the Event and of the metric', async () => {
    const { events, gauge } = start([failing()])

    await vi.waitFor(() => expect(events()).toHaveLength(1))
    expect(events()[0]?.message).toContain('cannot pull elsewhere.example/model:1: ')
    expect(await gauge()).toEqual(['berth_pull_failures{cause="not-found",registry="other"} 1'])
  })
})

describe('the metric', () => {
  it('counts only pods that fail now, and nothing after the loop ends', async () => {
    const image = 'elsewhere.example/team/app:2'
    const message = missing.replaceAll('mirror.example', 'elsewhere.example')
    const elsewhere = pod({ name: 'web-1', image, message })
    const { kube, gauge, end } = start([pod(), elsewhere, running('web-2')])
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(2))
    expect(await gauge()).toContain('berth_pull_failures{cause="not-found",registry="other"} 1')
    kube.drop('pods', 'web-1', 'team')
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(1))
    kube.put('pods', running())
    await vi.waitFor(async () => expect(await gauge()).toEqual([]))
    kube.put('pods', pod())
    await vi.waitFor(async () => expect(await gauge()).toHaveLength(1))
    await end()

    expect(await gauge()).toEqual([])
  })
})

describe('pull secrets of failing pods', () => {
  const named = pod({ image: 'mirror.example/team/app:1', message: denied, secrets: ['pull'] })

  it('are not read by default', async () => {
    const { kube, events } = start([named])
    await vi.waitFor(() => expect(events()).toHaveLength(1))

    expect(kube.reads).toEqual([])
    expect(events()[0]?.message).not.toContain('pull-secret-missing')
  })

  it('are read with readSecrets, and the verdict names the one at fault', async () => {
    const { kube, events } = start([named], { readSecrets: true })
    await vi.waitFor(() => expect(events()).toHaveLength(1))

    expect(kube.reads).toContain('secrets team/pull')
    expect(events()[0]?.message).toContain('(pull) [pull-secret-missing, likely, D05]')
    expect(events()[0]?.message).toContain('kubectl create secret docker-registry pull -n team')
  })
})

describe('without the right to create Events', () => {
  it('the loop warns once and still counts', async () => {
    const { kube, lines, gauge, attempts } = start([])
    kube.refuse(anyEvent, 403)
    kube.refuse(anyEvent, 403)
    kube.put('pods', pod())
    kube.put('pods', pod({ name: 'web-1' }))
    await vi.waitFor(() => expect(attempts()).toHaveLength(2))

    expect(await gauge()).toHaveLength(1)
    expect(lines).toEqual(['warn: event not recorded', 'debug: event not recorded'])
  })
})
