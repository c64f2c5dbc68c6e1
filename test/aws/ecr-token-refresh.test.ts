import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  maxRefreshMs,
  minRefreshMs,
  refreshDelayMs,
  retryDelayMs,
} from '../../src/aws/ecr-token-refresh.ts'

const hour = 3_600_000

describe('a token that came', () => {
  it.each([
    ['twelve hours', 12 * hour, 6 * hour],
    ['one hour', hour, hour / 2],
    ['a minute', 60_000, minRefreshMs],
    ['eleven years ago', -100_000 * hour, minRefreshMs],
    ['a thousand years', 8_766_000 * hour, maxRefreshMs],
  ])('with a life of %s is fetched again at half of it, within the bounds', (_, life, want) => {
    expect(refreshDelayMs(life, 0)).toBe(want)
  })

  it('is never fetched before the floor nor after half of its life, whatever chance says', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1e12, max: 1e12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (life, random) => {
          const after = refreshDelayMs(life, random)
          return (
            after >= minRefreshMs &&
            after <= Math.max(minRefreshMs, Math.min(life / 2, maxRefreshMs))
          )
        },
      ),
    )
  })

  it('is fetched up to a tenth earlier than half of its life', () => {
    expect(refreshDelayMs(12 * hour, 1)).toBe(6 * hour * 0.9)
  })
})

describe('a token that did not come', () => {
  it('is asked for again after pauses that double, up to the floor', () => {
    expect([1, 2, 3, 5, 6, 100, 5000].map((failures) => retryDelayMs(failures, 0))).toEqual([
      10_000, 20_000, 40_000, 160_000, 300_000, 300_000, 300_000,
    ])
  })
})
