import { describe, expect, it } from 'vitest'
import { matchesLabel } from '../../src/credentials/label-glob.ts'

// The cases of Go's path.Match (path/match_test.go has the same kinds; the values are ours).
describe('a label', () => {
  it.each([
    ['abc', 'abc', true],
    ['abc', 'ABC', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['a*', 'abc', true],
    ['*c', 'abc', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['?', 'a', true],
    ['?', '', false],
    ['a?c', 'abc', true],
    ['[abc]', 'b', true],
    ['[a-c]x', 'bx', true],
    ['[^a-c]', 'd', true],
    ['[^a-c]', 'b', false],
    ['[a-c0-9]', '7', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['[\\]]', ']', true],
    ['[]a]', ']', false],
    ['[^]a]', 'xa]', false],
    ['[-a]', '-', false],
    ['[a', 'a', false],
    ['[a-', 'a', false],
    ['[', '[', false],
    ['[a-]', 'a', false],
    ['a\\', 'a', false],
    ['', '', true],
    ['', 'a', false],
  ])('%s against %s is %s', (pattern, label, matches) => {
    expect(matchesLabel(pattern, label)).toBe(matches)
  })

  it('takes no more than length times length steps', () => {
    expect(matchesLabel(`${'a*'.repeat(2_000)}b`, 'a'.repeat(4_000))).toBe(false)
  })
})
