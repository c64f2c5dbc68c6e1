import { beforeEach, describe, expect, it } from 'vitest'
import { QueryTimeoutError } from '../../../src/decision/resolve/budget.ts'
import {
  type CircuitBreakers,
  createCircuitBreakers,
} from '../../../src/decision/resolve/circuit-breaker.ts'
import type {
  ManifestAnswer,
  ManifestSource,
} from '../../../src/decision/resolve/manifest-source.ts'
import { failed, found } from '../../support/manifest-answers.ts'

let now: number
let asked: string[]
let next: (signal: AbortSignal) => Promise<ManifestAnswer>
let circuits: CircuitBreakers
let guarded: ManifestSource

beforeEach(() => {
  now = 1_000
  asked = []
  next = () => Promise.resolve(found())
  circuits = createCircuitBreakers(() => now)
  guarded = circuits.guard({
    isListed: () => true,
    isProbed: () => true,
    prepare: ({ host }) =>
      Promise.resolve({
        credentialIdentity: 'anonymous',
        send: (signal) => {
          asked.push(host)
          return next(signal)
        },
      }),
  })
})

interface Query {
  readonly host?: string
  readonly repository?: string
  readonly namespace?: string
  readonly signal?: AbortSignal
}

async function query(answer: ManifestAnswer | null = null, options: Query = {}) {
  const { host = 'a.example', repository = 'x', namespace = 'default' } = options
  const { signal = new AbortController().signal } = options
  if (answer !== null) next = () => Promise.resolve(answer)
  return (await guarded.prepare({ host, repository, reference: '1', namespace })).send(signal)
}

async function times(count: number, answer: ManifestAnswer, options: Query = {}): Promise<void> {
  for (let index = 0; index < count; index++) await query(answer, options)
}

const refused: ManifestAnswer = { ...failed('unreachable', 'ECONNREFUSED'), hasNoConnection: true }
const badGateway = failed('unreachable', '502')

describe('a registry that accepts no connection', () => {
  it('is skipped for 10 seconds after 5 failures', async () => {
    await times(5, refused)
    expect(asked).toHaveLength(5)
    now += 9_999

    expect(await query(found())).toEqual({
      outcome: 'skipped',
      detail: 'not asked again yet, because it was unreachable',
    })
    expect(asked).toHaveLength(5)
  })

  it('is skipped for all its repositories and namespaces; other registries are not', async () => {
    await times(5, refused)
    const other = { repository: 'another', namespace: 'team' }

    expect((await query(found(), other)).outcome).toBe('skipped')
    expect((await query(found(), { ...other, host: 'b.example' })).outcome).toBe('found')
  })

  it('gets one query after 10 seconds, and its answer closes the circuit', async () => {
    await times(5, refused)
    now += 10_000
    let answer: (value: ManifestAnswer) => void = () => undefined
    next = () => new Promise((resolve) => (answer = resolve))
    const first = query()
    await Promise.resolve()
    const others = await Promise.all([query(), query()])
    answer(found())

    expect(others.map(({ outcome }) => outcome)).toEqual(['skipped', 'skipped'])
    expect((await first).outcome).toBe('found')
    expect((await query(found())).outcome).toBe('found')
    expect(asked).toHaveLength(7)
  })

  it('is skipped again when that query fails', async () => {
    await times(5, refused)
    now += 10_000
    await query(refused)
    now += 9_999

    expect((await query(found())).outcome).toBe('skipped')
  })

  it.each([
    ['5xx', badGateway],
    ['timeout', failed('timeout')],
    ['429', failed('limited')],
  ])('is asked by all again when it accepts a connection and answers %s', async (_, answer) => {
    await times(5, refused)
    now += 10_000
    await query(answer)

    expect(circuits.states().get('a.example')).toBe('closed')
    const others = ['one', 'two', 'three'].map((namespace) => query(found(), { namespace }))
    const outcomes = (await Promise.all(others)).map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['found', 'found', 'found'])
  })

  it('is not skipped if it answers between the failures', async () => {
    await times(4, refused)
    await query(failed('absent'))
    await times(4, refused)

    expect((await query(found())).outcome).toBe('found')
  })

  it('does not stay half-open after a query that throws', async () => {
    await times(5, refused)
    now += 10_000
    next = () => Promise.reject(new Error('bug'))
    await expect(query()).rejects.toThrow('bug')

    expect((await query(found())).outcome).toBe('found')
  })
})

describe.each([
  ['5xx', badGateway],
  ['timeouts', failed('timeout')],
])('a repository with %s', (_, failure) => {
  it('is skipped for its namespace after 5 of them; other namespaces and repositories are not', async () => {
    await times(5, failure, { namespace: 'tenant' })

    expect((await query(found(), { namespace: 'tenant' })).outcome).toBe('skipped')
    expect((await query(found(), { namespace: 'other' })).outcome).toBe('found')
    expect((await query(found(), { namespace: 'tenant', repository: 'another' })).outcome).toBe(
      'found',
    )
  })

  it('gets one query after 10 seconds', async () => {
    await times(5, failure)
    now += 10_000

    expect((await query(failure)).outcome).toBe(failure.outcome)
    expect((await query(found())).outcome).toBe('skipped')
    now += 10_000
    expect((await query(found())).outcome).toBe('found')
    expect((await query(found())).outcome).toBe('found')
  })

  it('does not open the circuit of the registry, however many repositories one tenant has', async () => {
    for (let index = 0; index < 100; index++)
      await query(failure, { namespace: `tenant-${index % 2}`, repository: `bad${index}` })

    expect(circuits.states().get('a.example')).toBe('closed')
    expect((await query(found(), { namespace: 'other' })).outcome).toBe('found')
  })

  it('opens the circuit of the registry together with other repositories of other namespaces', async () => {
    for (let index = 0; index < 5; index++)
      await query(failure, { namespace: `team-${index % 3}`, repository: `app${index}` })

    expect((await query(found(), { namespace: 'other' })).outcome).toBe('skipped')
    expect(circuits.states().get('a.example')).toBe('open')
  })

  it('does not open the circuit of the registry if another image gets an answer between', async () => {
    for (let index = 0; index < 20; index++) {
      await query(failure, { namespace: `team-${index % 3}`, repository: `app${index}` })
      if (index % 4 === 3) await query(failed('absent'), { namespace: 'other' })
    }

    expect(circuits.states().get('a.example')).toBe('closed')
  })
})

describe('a registry that limits requests', () => {
  it.each([
    ['for the time of Retry-After', 60_000, 59_999, 60_000],
    ['for at least 10 seconds', undefined, 9_999, 10_000],
    ['for at most 10 minutes', 6 * 3_600_000, 599_999, 600_000],
  ])('is skipped %s', async (_, retryAfterMs, before, after) => {
    const start = now
    await query({
      ...failed('limited', '429'),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
    now = start + before
    expect((await query(found())).outcome).toBe('skipped')
    now = start + after

    expect((await query(found())).outcome).toBe('found')
  })

  it('gets one of 1,000 queries of a namespace, and one of each of three namespaces', async () => {
    next = () => Promise.resolve(failed('limited'))
    for (let index = 0; index < 1_000; index++) await query(null, { repository: `app${index}` })
    expect(asked).toHaveLength(1)
    expect(circuits.states().get('a.example')).toBe('closed')
    for (let index = 0; index < 1_000; index++) await query(null, { namespace: `team${index}` })

    expect(asked).toHaveLength(3)
    expect(circuits.states().get('a.example')).toBe('open')
  })
})

describe('a cancelled query', () => {
  const cancel = async (reason: unknown) => {
    const stop = new AbortController()
    next = (signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(failed('timeout'))))
    const answer = query(null, { signal: stop.signal })
    await new Promise((resolve) => setImmediate(resolve))
    stop.abort(reason)
    await answer
  }

  it('does not count as a failure if its caller has gone', async () => {
    for (let index = 0; index < 10; index++) await cancel('caller gone')

    expect((await query(found())).outcome).toBe('found')
  })

  it('counts as a failure if its timeout ended', async () => {
    for (let index = 0; index < 5; index++) await cancel(new QueryTimeoutError())

    expect((await query(found())).outcome).toBe('skipped')
  })
})

it('returns the state of each registry', async () => {
  await times(5, refused)
  await query(found(), { host: 'b.example' })

  expect([...circuits.states()]).toEqual([
    ['a.example', 'open'],
    ['b.example', 'closed'],
  ])
  now += 10_000
  expect(circuits.states().get('a.example')).toBe('half-open')
})
