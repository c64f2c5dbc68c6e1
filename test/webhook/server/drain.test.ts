import { describe, expect, it, vi } from 'vitest'
import { drain } from '../../../src/webhook/server/drain.ts'

/** Returns the millisecond at which draining ends. */
async function drainedAt(
  minimumMs: number,
  requestsAt: readonly number[],
  forceStopAt = Infinity,
): Promise<number> {
  vi.useFakeTimers({ now: 0 })
  try {
    const forceStop = new AbortController()
    const lastRequest = () => Math.max(0, ...requestsAt.filter((at) => at <= Date.now()))
    let endedAt = -1
    const done = drain({
      quietForMs: () => Date.now() - lastRequest(),
      minimumMs,
      forceStop: forceStop.signal,
    }).then(() => (endedAt = Date.now()))
    for (let at = 0; at <= 60_000; at += 100) {
      if (at >= forceStopAt) forceStop.abort()
      await vi.advanceTimersByTimeAsync(100)
    }
    await done
    return endedAt
  } finally {
    vi.useRealTimers()
  }
}

describe('draining', () => {
  it('takes fifteen seconds even if no request arrives', async () => {
    expect(await drainedAt(15_000, [])).toBe(15_000)
  })

  it('then waits for five seconds without a request', async () => {
    expect(await drainedAt(15_000, [14_000, 17_000])).toBe(22_000)
  })

  it('ends after forty seconds at the latest', async () => {
    const everySecond = Array.from({ length: 60 }, (_, index) => index * 1_000)

    expect(await drainedAt(15_000, everySecond)).toBe(40_000)
  })

  it('ends at once on a forced stop', async () => {
    expect(await drainedAt(15_000, [], 3_000)).toBe(3_000)
  })
})
