import { fc } from '../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { minRefreshMs, refreshDelayMs, retryDelayMs } from '../../src/aws/ecr-token-refresh.ts'

const hour = 3_600_000

describe('refreshDelayMs', () => {
  it.each([
    ['twelve hours', 12 * hour, 6 * hour],
    ['one hour', hour, hour / 2],
    ['a minute', 60_000, minRefreshMs],
    ['a token that expired 11 years ago', -100_000 * hour, minRefreshMs],
    ['a thousand years', 8_766_000 * hour, 6 * hour],
  ])('is half of the lifetime within its limits, for %s', (_, lifetime, delay) => {
    expect(refreshDelayMs(lifetime, 0)).toBe(delay)
  })

  it('is always between the minimum and half of the lifetime', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1e12, max: 1e12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (lifetime, random) => {
          const delay = refreshDelayMs(lifetime, random)
          const longest = Math.max(minRefreshMs, Math.min(lifetime / 2, 6 * hour))
          return delay >= minRefreshMs && delay <= longest
        },
      ),
    )
  })

  it('is up to a tenth shorter at random', () => {
    expect(refreshDelayMs(12 * hour, 1)).toBe(6 * hour * 0.9)
  })
})

describe('retryDelayMs', () => {
  it('doubles with each failure, up to five minutes', () => {
    expect([1, 2, 3, 5, 6, 100, 5000].map((failures) => retryDelayMs(failures, 0))).toEqual([
      10_000, 20_000, 40_000, 160_000, 300_000, 300_000, 300_000,
    ])
  })
})
