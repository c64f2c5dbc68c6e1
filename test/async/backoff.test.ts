import { describe, expect, it } from 'vitest'
import { backoffMs } from '../../src/async/backoff.ts'

describe('backoffMs', () => {
  it('doubles the delay with each failure, up to the maximum', () => {
    const delays = [1, 2, 3, 4, 2_000].map((failures) =>
      backoffMs({ firstMs: 100, maxMs: 350 }, failures),
    )

    expect(delays).toEqual([100, 200, 350, 350, 350])
  })

  it('shortens the delay by at most the share that is left to chance', () => {
    const backoff = { firstMs: 100, maxMs: 1_000, jitter: 0.5 }

    expect([0, 0.5, 1].map((random) => backoffMs(backoff, 2, random))).toEqual([200, 150, 100])
  })
})
