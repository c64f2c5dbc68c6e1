import { describe, expect, it } from 'vitest'
import { matchesHostLabel } from '../../src/credentials/host-label-glob.ts'

describe('a label', () => {
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
    // What other globs read as more is text here, but for the bracket of an address.
    ['a?c', 'abc', false],
    ['[::1]', '[::1]', false],
    ['[::1]', '1', true],
    ['[::a]', 'b', false],
    ['[::ffff:1', '1', false],
  ])('%s against %s is %s', (pattern, label, matches) => {
    expect(matchesHostLabel(pattern, label)).toBe(matches)
  })

  it('takes no more than length times length steps', () => {
    expect(matchesHostLabel(`${'a*'.repeat(2_000)}b`, 'a'.repeat(4_000))).toBe(false)
  })
})
