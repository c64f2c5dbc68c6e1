import { describe, expect, it } from 'vitest'
import { createByteBudget, type ByteBudget } from '../../src/async/byte-budget.ts'

const forever = new AbortController().signal

/** Starts work that holds these bytes until `release` is called. */
function hold(budget: ByteBudget, bytes: number, signal = forever) {
  const work = { isStarted: false, error: null as unknown, release: () => {} }
  budget.acquire(bytes, signal).then(
    (release) => Object.assign(work, { isStarted: true, release }),
    (error: unknown) => Object.assign(work, { error }),
  )
  return work
}

async function settle() {
  await new Promise((resolve) => setImmediate(resolve))
}

describe('createByteBudget', () => {
  it('lets work wait until the bytes are free', async () => {
    const budget = createByteBudget(10)
    const [first, second] = [hold(budget, 6), hold(budget, 5)]
    await settle()
    const before = [first.isStarted, second.isStarted]
    first.release()
    await settle()

    expect([before, second.isStarted]).toEqual([[true, false], true])
  })

  it('starts work in order, also if later work would fit', async () => {
    const budget = createByteBudget(10)
    const work = [6, 8, 1].map((bytes) => hold(budget, bytes))
    await settle()
    const before = work.map(({ isStarted }) => isStarted)
    work[0]?.release()
    await settle()

    expect(before).toEqual([true, false, false])
    expect(work.map(({ isStarted }) => isStarted)).toEqual([true, true, true])
  })

  it('gives all of it to work that needs more', async () => {
    const budget = createByteBudget(10)
    const [large, small] = [hold(budget, 1_000), hold(budget, 1)]
    await settle()
    const before = [large.isStarted, small.isStarted]
    large.release()
    await settle()

    expect([before, small.isStarted]).toEqual([[true, false], true])
  })

  it('counts a second release of the same bytes only once', async () => {
    const budget = createByteBudget(10)
    const first = hold(budget, 10)
    await settle()
    first.release()
    first.release()
    const [second, third] = [hold(budget, 10), hold(budget, 1)]
    await settle()

    expect([second.isStarted, third.isStarted]).toEqual([true, false])
  })

  it('rejects work whose signal aborts, and starts the work behind it', async () => {
    const budget = createByteBudget(10)
    const abort = new AbortController()
    hold(budget, 5)
    const [waiting, behind] = [hold(budget, 6, abort.signal), hold(budget, 5)]
    const late = hold(budget, 1, AbortSignal.abort('too late'))
    abort.abort('stopped')
    await settle()

    expect([waiting.error, behind.isStarted, late.error]).toEqual(['stopped', true, 'too late'])
  })

  it('keeps the bytes of work that started before its signal aborted', async () => {
    const budget = createByteBudget(10)
    const abort = new AbortController()
    const first = hold(budget, 10, abort.signal)
    await settle()
    abort.abort()
    const second = hold(budget, 1)
    await settle()
    const before = second.isStarted
    first.release()
    await settle()

    expect([before, second.isStarted]).toEqual([false, true])
  })

  it('takes from its parent, but not for work that waits for itself', async () => {
    const parent = createByteBudget(10)
    const [greedy, modest] = [createByteBudget(4, parent), createByteBudget(4, parent)]
    const work = Array.from({ length: 100 }, () => hold(greedy, 4))
    const other = hold(modest, 4)
    await settle()

    expect(work.filter(({ isStarted }) => isStarted)).toHaveLength(1)
    expect(other.isStarted).toBe(true)
  })

  it('returns its own bytes when the parent rejects', async () => {
    const parent = createByteBudget(10)
    const child = createByteBudget(4, parent)
    const abort = new AbortController()
    const blocker = hold(parent, 10)
    const waiting = hold(child, 4, abort.signal)
    await settle()
    abort.abort('stopped')
    await settle()
    const next = hold(child, 4)
    blocker.release()
    await settle()

    expect([waiting.error, next.isStarted]).toEqual(['stopped', true])
  })
})
