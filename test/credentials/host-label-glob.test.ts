import { describe, expect, it } from 'vitest'
import { matchesHostLabel } from '../../src/credentials/host-label-glob.ts'

describe('matchesHostLabel', () => {
  it.each([
    ['abc', 'abc', true],
    ['abc', 'ABC', false],
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['a*', 'abc', true],
    ['*c', 'abc', true],
    ['a*a', 'a', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['a*bc*c', 'abc', false],
    ['**', 'a', true],
    // Only `*` and the bracket of an IPv6 address are special.
    ['a?c', 'abc', false],
    ['[::1]', '[::1]', false],
    ['[::1]', '1', true],
    ['[::a]', 'b', false],
    ['[::ffff:1', '1', false],
  ])('of the pattern %s and the label %s is %s', (pattern, label, matches) => {
    expect(matchesHostLabel(pattern, label)).toBe(matches)
  })

  it('takes quadratic time at most', () => {
    expect(matchesHostLabel(`${'a*'.repeat(2_000)}b`, 'a'.repeat(4_000))).toBe(false)
  })
})
