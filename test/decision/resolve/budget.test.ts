import { describe, expect, it } from 'vitest'
import { budgetMs } from '../../../src/decision/resolve/budget.ts'

describe('budgetMs', () => {
  it.each([
    ['1s', 250],
    ['2s', 850],
    ['3s', 1_850],
    ['5s', 2_500],
    ['10s', 2_500],
    ['30s', 2_500],
    ['1m', 2_500],
    ['1m0s', 2_500],
    ['2000ms', 850],
    ['0s', 2_500],
    ['-1s', 2_500],
    ['1e9s', 2_500],
    ['junk', 2_500],
    ['', 2_500],
    [undefined, 2_500],
    [['1s', '2s'], 2_500],
  ])('of timeout=%j is %i', (timeout, expected) => {
    expect(budgetMs(timeout)).toBe(expected)
  })
})
