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
import { failed, found } from '../../support/questions.ts'

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

async function ask(
  answer: ManifestAnswer | null = null,
  host = 'a.example',
  repository = 'x',
  signal = new AbortController().signal,
): Promise<ManifestAnswer> {
  if (answer !== null) next = () => Promise.resolve(answer)
  return (await guarded.prepare({ host, repository, reference: '1' })).send(signal)
}

async function times(count: number, answer: ManifestAnswer): Promise<void> {
  for (let index = 0; index < count; index++) await ask(answer)
}

describe('a registry that is down', () => {
  it.each(['unreachable', 'timeout'] as const)(
    'is left alone after five times %s, for ten seconds (R5)',
    async (outcome) => {
      await times(5, failed(outcome))
      expect(asked).toHaveLength(5)
      now += 9_999

      expect(await ask(found())).toEqual({
        outcome: 'skipped',
        detail: `not asked again yet, because it was ${outcome}`,
      })
      expect(asked).toHaveLength(5)
    },
  )

  it('is left alone by all its repositories, and no other registry is', async () => {
    await times(5, failed('unreachable'))

    expect((await ask(found(), 'a.example', 'another')).outcome).toBe('skipped')
    expect((await ask(found(), 'b.example')).outcome).toBe('found')
  })

  it('is asked one question when the time is over, and the first answer closes the circuit', async () => {
    await times(5, failed('unreachable'))
    now += 10_000
    let answer: (value: ManifestAnswer) => void = () => undefined
    next = () => new Promise((resolve) => (answer = resolve))
    const probe = ask()
    await Promise.resolve()
    const others = await Promise.all([ask(), ask()])
    answer(found())

    expect(others.map(({ outcome }) => outcome)).toEqual(['skipped', 'skipped'])
    expect((await probe).outcome).toBe('found')
    expect((await ask(found())).outcome).toBe('found')
    expect(asked).toHaveLength(7)
  })

  it('is left alone again when that question fails', async () => {
    await times(5, failed('unreachable'))
    now += 10_000
    await ask(failed('unreachable'))
    now += 9_999

    expect((await ask(found())).outcome).toBe('skipped')
  })

  it('is not, when it answers in between: what counts is five in a row', async () => {
    await times(4, failed('unreachable'))
    await ask(failed('absent'))
    await times(4, failed('timeout'))

    expect((await ask(found())).outcome).toBe('found')
  })

  it('does not stay half-open for a question that throws', async () => {
    await times(5, failed('unreachable'))
    now += 10_000
    next = () => Promise.reject(new Error('bug'))
    await expect(ask()).rejects.toThrow('bug')

    expect((await ask(found())).outcome).toBe('found')
  })
})

describe('a registry that asks to be left alone', () => {
  it.each([
    ['as long as it says', 60_000, 59_999, 60_000],
    ['ten seconds at the least', undefined, 9_999, 10_000],
    ['ten minutes at the most', 6 * 3_600_000, 599_999, 600_000],
  ])('is: %s (R-15 to R-20)', async (_, retryAfterMs, still, over) => {
    const start = now
    await ask({
      ...failed('limited', '429'),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
    now = start + still
    expect((await ask(found())).outcome).toBe('skipped')
    now = start + over

    expect((await ask(found())).outcome).toBe('found')
  })

  it('gets one question of a storm of a thousand', async () => {
    next = () => Promise.resolve(failed('limited'))
    for (let index = 0; index < 1_000; index++) await ask()

    expect(asked).toHaveLength(1)
  })
})

describe('a question that was dropped', () => {
  const dropped = async (reason: unknown) => {
    const stop = new AbortController()
    next = (signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(failed('timeout'))))
    const answer = ask(null, 'a.example', 'x', stop.signal)
    await new Promise((resolve) => setImmediate(resolve))
    stop.abort(reason)
    await answer
  }

  it('says nothing about the registry', async () => {
    for (let index = 0; index < 10; index++) await dropped('caller gone')

    expect((await ask(found())).outcome).toBe('found')
  })

  it('does, if it used up its time', async () => {
    for (let index = 0; index < 5; index++) await dropped(new QueryTimeoutError())

    expect((await ask(found())).outcome).toBe('skipped')
  })
})

it('tells the states, for metrics', async () => {
  await times(5, failed('unreachable'))
  await ask(found(), 'b.example')

  expect([...circuits.states()]).toEqual([
    ['a.example', 'open'],
    ['b.example', 'closed'],
  ])
  now += 10_000
  expect(circuits.states().get('a.example')).toBe('half-open')
})
