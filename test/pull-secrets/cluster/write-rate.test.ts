import { describe, expect, it } from 'vitest'
import {
  concurrentWrites,
  createWriteLimiter,
} from '../../../src/pull-secrets/cluster/write-rate.ts'

const { signal } = new AbortController()

describe('the limit of writes', () => {
  it.each([10, 50, 100])('lets no more than %i writes start in a second', async (rate) => {
    const limiter = createWriteLimiter(rate, { now: () => 0, sleep: () => Promise.resolve() })
    await limiter.acquire(signal)
    const gapMs = limiter.delayMs()

    expect(gapMs * rate).toBeGreaterThan(1_000)
    expect(gapMs * rate).toBeLessThanOrEqual(1_050)
  })

  it('allows as many concurrent writes as a slow API server needs to reach the rate', () => {
    expect([1, 10, 50, 100].map(concurrentWrites)).toEqual([1, 4, 20, 40])
  })
})
