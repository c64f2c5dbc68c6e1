import { describe, expect, it } from 'vitest'
import { estimateMedian, estimateRatio, seededRandom } from '../../bench/lib/statistics.ts'

describe('seededRandom', () => {
  it('returns the same numbers for the same seed, and others for another one', () => {
    const take = (seed: number) => Array.from({ length: 5 }, seededRandom(seed))

    expect(take(1)).toEqual(take(1))
    expect(take(1)).not.toEqual(take(2))
  })

  it('returns numbers that are spread evenly from 0 to 1', () => {
    const random = seededRandom(7)
    const counts = Array.from({ length: 10 }, () => 0)
    for (let index = 0; index < 10_000; index++) {
      const tenth = Math.floor(random() * 10)
      counts[tenth] = (counts[tenth] ?? 0) + 1
    }

    expect(Math.min(...counts)).toBeGreaterThan(900)
    expect(Math.max(...counts)).toBeLessThan(1_100)
  })
})

describe('estimateMedian', () => {
  it('returns the median, in an interval of measured values', () => {
    expect(estimateMedian([5, 1, 9, 3, 7])).toEqual({ value: 5, low: 1, high: 9 })
  })

  it('returns a narrow interval for many values that differ little, although one was disturbed', () => {
    const values = [...Array.from({ length: 20 }, (_, index) => 100 + (index % 5)), 900]
    const { value, low, high } = estimateMedian(values)

    expect(value).toBe(102)
    expect(low).toBeGreaterThanOrEqual(101)
    expect(high).toBeLessThanOrEqual(103)
  })

  it('has the true median in about 95 of 100 intervals', () => {
    const random = seededRandom(3)
    let hits = 0
    for (let run = 0; run < 200; run++) {
      const values = Array.from({ length: 15 }, random)
      const { low, high } = estimateMedian(values, random)
      if (low <= 0.5 && high >= 0.5) hits++
    }

    expect(hits).toBeGreaterThan(180)
  })

  it('returns one value as its own interval, and NaN for none', () => {
    expect(estimateMedian([4])).toEqual({ value: 4, low: 4, high: 4 })
    expect(estimateMedian([])).toEqual({ value: NaN, low: NaN, high: NaN })
  })
})

describe('estimateRatio', () => {
  it('compares values of the same round, so that a slow machine cancels out', () => {
    expect(estimateRatio([20, 200, 2_000], [10, 100, 1_000])).toEqual({ value: 2, low: 2, high: 2 })
  })
})
