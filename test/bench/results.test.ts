import { describe, expect, it } from 'vitest'
import type { Comparison } from '../../bench/lib/outcome.ts'
import {
  describeComparison,
  describeSlower,
  findMissing,
  findSlower,
  formatResults,
  ratioText,
} from '../../bench/lib/results.ts'

/** A comparison with these ratios, one for each round. */
function comparisonOf(ratios: readonly number[], options: Partial<Comparison> = {}): Comparison {
  return {
    name: 'CPU per review, µs',
    baseline: 'bare Node',
    better: 'less',
    values: ratios.map((ratio) => ratio * 50),
    baselineValues: ratios.map(() => 50),
    ...options,
  }
}

const before = comparisonOf([1.9, 2, 2.1])

describe('findSlower', () => {
  it.each([
    ['is the same', [1.9, 2, 2.1]],
    ['is better', [1, 1.1, 1.2]],
    ['is worse, but within the noise of the earlier rounds', [2.05, 2.1, 2.2]],
    ['is worse in some rounds only', [2, 3, 4]],
    ['is worse by less than ten percent', [2.2, 2.25, 2.3]],
  ])('finds nothing if the ratio %s', (_, ratios) => {
    expect(findSlower([before], [comparisonOf(ratios)])).toEqual([])
  })

  it('finds a ratio that is worse beyond the noise, and says by how much', () => {
    const now = comparisonOf([2.9, 3, 3.1])
    const [slower] = findSlower([before], [now])

    expect(slower).toMatchObject({ comparison: now, before: { value: 2 }, now: { value: 3 } })
    expect(slower && describeSlower(slower)).toBe(
      'CPU per review, µs ÷ bare Node: 50 % worse, 3.00× (2.90–3.10) instead of 2.00× (1.90–2.10)',
    )
  })

  it('finds a rate that fell', () => {
    const rate = { name: 'Reviews per second', better: 'more' } as const
    const found = findSlower(
      [comparisonOf([0.9, 1, 1.1], rate)],
      [comparisonOf([0.4, 0.5, 0.6], rate)],
    )

    expect(found.map(({ share }) => share)).toEqual([1])
  })

  it('compares only what has the same name and the same baseline', () => {
    const slow = [9, 9, 9]

    expect(findSlower([before], [comparisonOf(slow, { baseline: 'bare Go' })])).toEqual([])
    expect(findSlower([before], [comparisonOf(slow, { name: 'other' })])).toEqual([])
    expect(findSlower([], [comparisonOf(slow)])).toEqual([])
  })

  it('finds nothing where a round has no value', () => {
    expect(findSlower([before], [comparisonOf([])])).toEqual([])
  })
})

describe('findMissing', () => {
  it('returns the ratios that were not measured again', () => {
    const go = comparisonOf([1], { baseline: 'bare Go' })

    expect(findMissing([before, go], [before]).map(describeComparison)).toEqual([
      'CPU per review, µs ÷ bare Go',
    ])
  })
})

describe('the results file', () => {
  it('has one line for each comparison, with four significant digits', () => {
    const text = formatResults({
      machine: '2 cores',
      commit: 'abc',
      isShort: true,
      noise: { rounds: 3, repeated: 0, disturbed: 0 },
      comparisons: [comparisonOf([1.234567]), comparisonOf([2])],
    })

    expect(JSON.parse(text)).toMatchObject({
      comparisons: [{ values: [61.73] }, { values: [100] }],
    })
    expect(text.split('\n').filter((line) => line.includes('"name"'))).toHaveLength(2)
  })
})

describe('ratioText', () => {
  it('has the interval, or a dash without values', () => {
    expect(ratioText([10, 11, 12], [10, 10, 10])).toBe('1.10× (1.00–1.20)')
    expect(ratioText([], [])).toBe('–')
  })
})
