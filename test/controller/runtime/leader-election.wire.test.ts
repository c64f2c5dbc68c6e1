import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { aborted } from '../../../src/async/abort.ts'
import {
  type LeaderElectionOptions,
  runLeaderElection,
} from '../../../src/controller/runtime/leader-election.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import {
  replyStatus,
  type ScriptedApiServer,
  stall,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

let server: ScriptedApiServer
let candidates: Candidate[]
/** What candidates reported, in order: `a leads`, `a ends`, `a error: …`. */
let events: string[]

beforeEach(async () => {
  server = await startScriptedApiServer()
  candidates = []
  events = []
})

afterEach(async () => {
  await server.resume().catch(() => undefined)
  for (const { stop } of candidates) stop.abort()
  await Promise.all(candidates.map(({ ended }) => ended))
  await server.close()
})

interface Candidate {
  readonly stop: AbortController
  readonly ended: Promise<void>
}

/** Never expires during a test. */
const longLease = { leaseMs: 600_000, renewMs: 400_000, retryMs: 5 }
/** Expires soon. A Lease counts whole seconds. */
const shortLease = { leaseMs: 1_000, renewMs: 200, retryMs: 5 }

/** Starts a candidate with a separate client, whose token is its identity. */
function start(identity: string, options: Partial<LeaderElectionOptions> = {}): Candidate {
  const stop = new AbortController()
  const ended = runLeaderElection(server.api({ tokens: [identity] }), {
    namespace: 'berth',
    name: 'controller',
    identity,
    times: longLease,
    signal: stop.signal,
    lead: aborted,
    onChange: (isLeader) => events.push(`${identity} ${isLeader ? 'leads' : 'ends'}`),
    onError: (error) => events.push(`${identity} error: ${String(error)}`),
    ...options,
  })
  const candidate = { stop, ended }
  candidates.push(candidate)
  return candidate
}

const hasHappened = (event: string) =>
  vi.waitFor(() => expect(events).toContain(event), { timeout: 10_000, interval: 5 })

/** The events without errors, which a slow machine may add. */
const changes = () => events.filter((event) => !event.includes('error'))

interface Lease extends KubeObject {
  readonly spec: {
    readonly holderIdentity: string
    readonly leaseDurationSeconds: number
    readonly leaseTransitions: number
    readonly acquireTime: string
    readonly renewTime: string
  }
}

const lease = () => server.kube.get('leases', 'controller', 'berth') as Lease | null

/** Writes the Lease as another replica would. */
function putLease(spec: Partial<Lease['spec']>): void {
  const metadata = { namespace: 'berth', name: 'controller' }
  const object = { metadata, spec: { leaseDurationSeconds: 600, leaseTransitions: 4, ...spec } }
  server.kube.put('leases', object)
}

describe('a candidate', () => {
  it('creates the Lease and leads', async () => {
    start('a')
    await hasHappened('a leads')

    expect(lease()?.spec).toMatchObject({
      holderIdentity: 'a',
      leaseDurationSeconds: 600,
      leaseTransitions: 0,
    })
    // MicroTime, as the API server stores it.
    expect(lease()?.spec.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  })

  it('renews the Lease while it leads', async () => {
    start('a')
    await hasHappened('a leads')
    const { acquireTime } = lease()?.spec ?? {}
    await server.waitForRequests({ method: 'PUT' }, 5)

    expect(lease()?.spec).toMatchObject({ holderIdentity: 'a', acquireTime, leaseTransitions: 0 })
    expect(events).toEqual(['a leads'])
  })

  it('releases the Lease when it is stopped', async () => {
    const { stop, ended } = start('a')
    await hasHappened('a leads')
    stop.abort()
    await ended

    expect(events).toEqual(['a leads', 'a ends'])
    expect(lease()?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 })
  })

  it('releases the Lease and takes part again when `lead` returns', async () => {
    let turns = 0
    start('a', {
      lead: async (signal) => {
        turns += 1
        if (turns > 1) await aborted(signal)
      },
    })
    await vi.waitFor(() => expect(turns).toBe(2))

    expect(events).toEqual(['a leads', 'a ends', 'a leads'])
    expect(lease()?.spec).toMatchObject({ holderIdentity: 'a', leaseTransitions: 1 })
  })

  it('takes a released Lease at once', async () => {
    putLease({ holderIdentity: '' })
    start('a')
    await hasHappened('a leads')

    expect(lease()?.spec).toMatchObject({ holderIdentity: 'a', leaseTransitions: 5 })
  })

  it('takes its own Lease at once, as after a restart with the same identity', async () => {
    putLease({ holderIdentity: 'a', acquireTime: 'before' })
    start('a')
    await hasHappened('a leads')

    expect(lease()?.spec).toMatchObject({ acquireTime: 'before', leaseTransitions: 4 })
  })

  it('waits while another replica holds the Lease', async () => {
    putLease({ holderIdentity: 'other' })
    start('a')
    await server.waitForRequests({ method: 'GET' }, 5)

    expect(events).toEqual([])
    expect(lease()?.spec.holderIdentity).toBe('other')
  })

  it('takes a Lease that is not renewed for its duration', async () => {
    putLease({ holderIdentity: 'gone', leaseDurationSeconds: 1 })
    const startedAt = performance.now()
    start('a')
    await hasHappened('a leads')

    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_000)
    expect(lease()?.spec).toMatchObject({ holderIdentity: 'a', leaseTransitions: 5 })
  })

  it('reports nothing when another replica is faster', async () => {
    server.script({ method: 'POST' }, replyStatus(409, 'AlreadyExists'))
    start('a')
    await hasHappened('a leads')

    expect(events).toEqual(['a leads'])
  })

  it('retries after a failure, and reports it', async () => {
    server.script({ method: 'GET' }, replyStatus(500, 'InternalError'))
    start('a')
    await hasHappened('a leads')

    expect(events).toEqual([
      expect.stringContaining('a error: KubeError: the API server'),
      'a leads',
    ])
  })
})

describe('a leader', () => {
  it('ends when another replica has taken its Lease', async () => {
    start('a', { times: shortLease })
    await hasHappened('a leads')
    putLease({ holderIdentity: 'other' })
    await hasHappened('a ends')

    // It does not release a Lease that is no longer its own.
    await server.waitForRequests({ method: 'GET' }, server.requests.length + 3)
    expect(lease()?.spec.holderIdentity).toBe('other')
    expect(changes()).toEqual(['a leads', 'a ends'])
  })

  it('keeps leading through conflicts and failures that are shorter than the renewal time', async () => {
    start('a')
    await hasHappened('a leads')
    server.script(
      { method: 'PUT' },
      replyStatus(409, 'Conflict'),
      replyStatus(500, 'InternalError'),
      replyStatus(409, 'Conflict'),
    )
    await server.waitForRequests({ method: 'PUT' }, 8)

    expect(changes()).toEqual(['a leads'])
    expect(events.filter((event) => event.includes('error'))).toHaveLength(1)
  })

  it('creates the Lease again when it was deleted', async () => {
    start('a')
    await hasHappened('a leads')
    server.kube.drop('leases', 'controller', 'berth')
    await vi.waitFor(() => expect(lease()?.spec.holderIdentity).toBe('a'))

    expect(events).toEqual(['a leads'])
  })

  it('ends when the API server does not answer, before another replica leads', async () => {
    start('a', { times: shortLease })
    await hasHappened('a leads')
    server.scriptAlways({ token: 'a' }, stall())
    start('b')
    await hasHappened('b leads')

    expect(events.indexOf('a ends')).toBeGreaterThan(0)
    expect(events.indexOf('a ends')).toBeLessThan(events.indexOf('b leads'))
    expect(events).toContain('a error: Error: the request for the Lease timed out')
  })

  it('ends when the API server refuses connections, and leads again when it is back', async () => {
    start('a', { times: shortLease })
    await hasHappened('a leads')
    await server.pause()
    await hasHappened('a ends')
    await server.resume()
    await vi.waitFor(() => expect(events.at(-1)).toBe('a leads'), { timeout: 10_000 })
  })

  it('uses new connections after a request that timed out', async () => {
    start('a', { times: { ...shortLease, leaseMs: 5_000, renewMs: 4_000 } })
    await hasHappened('a leads')
    const connections = server.connections()
    server.script({ token: 'a' }, stall())
    await hasHappened('a error: Error: the request for the Lease timed out')
    await server.waitForRequests({ method: 'PUT' }, server.requests.length + 1)

    expect(server.connections()).toBeGreaterThan(connections)
    expect(events).not.toContain('a ends')
  })
})

describe('several candidates', () => {
  it('lead one at a time, and hand the Lease on', async () => {
    const names = ['a', 'b', 'c']
    let leaders = 0
    let most = 0
    const lead = async (signal: AbortSignal) => {
      leaders += 1
      most = Math.max(most, leaders)
      await aborted(signal)
      leaders -= 1
    }
    const started = new Map(names.map((name) => [name, start(name, { lead })]))
    const order: string[] = []
    while (order.length < names.length) {
      await vi.waitFor(() => expect(events.at(-1)).toMatch(/leads$/), {
        timeout: 10_000,
        interval: 5,
      })
      const leader = events.at(-1)?.split(' ')[0] ?? ''
      order.push(leader)
      started.get(leader)?.stop.abort()
      await started.get(leader)?.ended
    }

    expect(order.toSorted()).toEqual(names)
    expect(most).toBe(1)
    expect(lease()?.spec.leaseTransitions).toBe(2)
  })

  it('that start together end up with one leader', async () => {
    start('a')
    start('b')
    await vi.waitFor(() => expect(events).toHaveLength(1))
    await server.waitForRequests({ method: 'GET' }, server.requests.length + 10)

    expect(changes()).toHaveLength(1)
    expect(lease()?.spec.holderIdentity).toBe(events[0]?.[0])
  })
})
