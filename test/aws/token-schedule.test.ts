import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ceilingMs, floorMs, refreshAfterMs, retryAfterMs } from '../../src/aws/token-schedule.ts'

const hour = 3_600_000

describe('a token that came', () => {
  it.each([
    ['twelve hours', 12 * hour, 6 * hour],
    ['one hour', hour, hour / 2],
    ['a minute', 60_000, floorMs],
    ['eleven years ago', -100_000 * hour, floorMs],
    ['a thousand years', 8_766_000 * hour, ceilingMs],
  ])('with a life of %s is fetched again at half of it, within the bounds', (_, life, want) => {
    expect(refreshAfterMs(life, 0)).toBe(want)
  })

  it('is never fetched before the floor nor after half of its life, whatever chance says', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1e12, max: 1e12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (life, random) => {
          const after = refreshAfterMs(life, random)
          return after >= floorMs && after <= Math.max(floorMs, Math.min(life / 2, ceilingMs))
        },
      ),
    )
  })

  it('is fetched up to a tenth earlier than half of its life', () => {
    expect(refreshAfterMs(12 * hour, 1)).toBe(6 * hour * 0.9)
  })
})

describe('a token that did not come', () => {
  it('is asked for again after pauses that double, up to the floor', () => {
    expect([1, 2, 3, 5, 6, 100, 5000].map((failures) => retryAfterMs(failures, 0))).toEqual([
      10_000, 20_000, 40_000, 160_000, 300_000, 300_000, 300_000,
    ])
  })
})
