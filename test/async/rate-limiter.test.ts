import { describe, expect, it } from 'vitest'
import { createRateLimiter } from '../../src/async/rate-limiter.ts'

/** A clock that the test sets; a sleeper wakes when the clock reaches its time. */
function startClock() {
  let time = 1_000
  const sleepers: { readonly at: number; readonly wake: () => void }[] = []
  return {
    now: () => time,
    sleep: (milliseconds: number, signal: AbortSignal) =>
      new Promise<void>((wake) => {
        sleepers.push({ at: time + milliseconds, wake })
        signal.addEventListener('abort', () => wake())
      }),
    async advance(milliseconds: number): Promise<void> {
      const end = time + milliseconds
      for (; time < end; time += 1) {
        for (const { wake } of sleepers.filter(({ at }) => at === time)) wake()
        await new Promise(setImmediate)
      }
    },
  }
}

const never = new AbortController().signal

describe('a rate limiter', () => {
  it('lets callers through in order, with the gap between them', async () => {
    const clock = startClock()
    const limiter = createRateLimiter(105, clock)
    const turns: string[] = []
    const acquire = async (name: string) => {
      await limiter.acquire(never)
      turns.push(`${name} at ${clock.now() - 1_000}`)
    }
    const callers = ['a', 'b', 'c'].map(acquire)
    await clock.advance(1_000)
    await Promise.all(callers)

    expect(turns).toEqual(['a at 0', 'b at 105', 'c at 210'])
  })

  it('lets at most ten callers through in any second with a gap of 105 ms', async () => {
    const clock = startClock()
    const limiter = createRateLimiter(105, clock)
    const turns: number[] = []
    const callers = Array.from({ length: 40 }, async () => {
      await limiter.acquire(never)
      turns.push(clock.now())
    })
    await clock.advance(5_000)
    await Promise.all(callers)
    const inSecond = (from: number) => turns.filter((at) => at >= from && at < from + 1_000).length

    expect(Math.max(...turns.map(inSecond))).toBe(10)
  })

  it('says how long the next turn takes', async () => {
    const clock = startClock()
    const limiter = createRateLimiter(100, clock)
    expect(limiter.delayMs()).toBe(0)
    await limiter.acquire(never)
    expect(limiter.delayMs()).toBe(100)

    await clock.advance(150)
    expect(limiter.delayMs()).toBe(0)
  })

  it('rejects a caller whose signal aborts', async () => {
    const limiter = createRateLimiter(100, startClock())
    const stop = new AbortController()
    await limiter.acquire(stop.signal)
    const waiting = limiter.acquire(stop.signal)
    stop.abort(new Error('stopped'))

    await expect(waiting).rejects.toThrow('stopped')
  })
})
