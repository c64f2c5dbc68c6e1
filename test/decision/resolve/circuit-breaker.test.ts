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

async function query(
  answer: ManifestAnswer | null = null,
  host = 'a.example',
  repository = 'x',
  signal = new AbortController().signal,
): Promise<ManifestAnswer> {
  if (answer !== null) next = () => Promise.resolve(answer)
  return (await guarded.prepare({ host, repository, reference: '1', namespace: 'default' })).send(
    signal,
  )
}

async function times(count: number, answer: ManifestAnswer): Promise<void> {
  for (let index = 0; index < count; index++) await query(answer)
}

describe('a registry that is down', () => {
  it.each(['unreachable', 'timeout'] as const)(
    'is skipped for 10 seconds after 5 times %s',
    async (outcome) => {
      await times(5, failed(outcome))
      expect(asked).toHaveLength(5)
      now += 9_999

      expect(await query(found())).toEqual({
        outcome: 'skipped',
        detail: `not asked again yet, because it was ${outcome}`,
      })
      expect(asked).toHaveLength(5)
    },
  )

  it('is skipped for all its repositories; other registries are not', async () => {
    await times(5, failed('unreachable'))

    expect((await query(found(), 'a.example', 'another')).outcome).toBe('skipped')
    expect((await query(found(), 'b.example')).outcome).toBe('found')
  })

  it('gets one query after 10 seconds, and its answer closes the circuit', async () => {
    await times(5, failed('unreachable'))
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
    await times(5, failed('unreachable'))
    now += 10_000
    await query(failed('unreachable'))
    now += 9_999

    expect((await query(found())).outcome).toBe('skipped')
  })

  it('is not skipped if it answers between the failures', async () => {
    await times(4, failed('unreachable'))
    await query(failed('absent'))
    await times(4, failed('timeout'))

    expect((await query(found())).outcome).toBe('found')
  })

  it('does not stay half-open after a query that throws', async () => {
    await times(5, failed('unreachable'))
    now += 10_000
    next = () => Promise.reject(new Error('bug'))
    await expect(query()).rejects.toThrow('bug')

    expect((await query(found())).outcome).toBe('found')
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

  it('gets one of 1,000 queries', async () => {
    next = () => Promise.resolve(failed('limited'))
    for (let index = 0; index < 1_000; index++) await query()

    expect(asked).toHaveLength(1)
  })
})

describe('a cancelled query', () => {
  const cancel = async (reason: unknown) => {
    const stop = new AbortController()
    next = (signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(failed('timeout'))))
    const answer = query(null, 'a.example', 'x', stop.signal)
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
  await times(5, failed('unreachable'))
  await query(found(), 'b.example')

  expect([...circuits.states()]).toEqual([
    ['a.example', 'open'],
    ['b.example', 'closed'],
  ])
  now += 10_000
  expect(circuits.states().get('a.example')).toBe('half-open')
})
