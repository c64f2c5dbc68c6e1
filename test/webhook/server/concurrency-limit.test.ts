import { describe, expect, it, vi } from 'vitest'
import { drain } from '../../../src/webhook/server/drain.ts'
import { createConcurrencyLimit } from '../../../src/webhook/server/concurrency-limit.ts'

const mebibyte = 1024 * 1024

describe('load', () => {
  it('is refused above a number of requests, and taken on again when some have ended', () => {
    const load = createConcurrencyLimit(() => 0)
    const taken = Array.from({ length: 1_500 }, () => load.begin()).filter(Boolean)
    load.end()

    expect(taken).toHaveLength(1_200)
    expect([load.begin(), load.begin()]).toEqual([true, false])
  })

  it('is refused above a number of bytes that have arrived', () => {
    const load = createConcurrencyLimit(() => 0)
    const grown = Array.from({ length: 8 }, () => load.reserve(8 * mebibyte))
    load.release(8 * mebibyte)

    expect(grown).toEqual([true, true, true, true, true, true, false, false])
    expect(load.reserve(8 * mebibyte)).toBe(true)
  })
})

describe('draining', () => {
  async function drained(
    minimumMs: number,
    requestsAt: readonly number[],
    hurryAt = Infinity,
  ): Promise<number> {
    vi.useFakeTimers({ now: 0 })
    try {
      const hurry = new AbortController()
      const lastAt = () => Math.max(0, ...requestsAt.filter((at) => at <= Date.now()))
      let endedAt = -1
      const done = drain({
        quietForMs: () => Date.now() - lastAt(),
        minimumMs,
        forceStop: hurry.signal,
      }).then(() => (endedAt = Date.now()))
      for (let at = 0; at <= 60_000; at += 100) {
        if (at >= hurryAt) hurry.abort()
        await vi.advanceTimersByTimeAsync(100)
      }
      await done
      return endedAt
    } finally {
      vi.useRealTimers()
    }
  }

  it('goes on for fifteen seconds though nobody asks', async () => {
    expect(await drained(15_000, [])).toBe(15_000)
  })

  it('and then until five seconds are quiet', async () => {
    expect(await drained(15_000, [14_000, 17_000])).toBe(22_000)
  })

  it('but never beyond forty', async () => {
    expect(
      await drained(
        15_000,
        Array.from({ length: 60 }, (_, index) => index * 1_000),
      ),
    ).toBe(40_000)
  })

  it('ends at the next look when somebody asks a second time', async () => {
    expect(await drained(15_000, [], 3_000)).toBe(3_100)
  })
})
