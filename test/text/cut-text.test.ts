import { describe, expect, it } from 'vitest'
import { cutText } from '../../src/text/cut-text.ts'

describe('cutText', () => {
  it.each([
    ['a short text', 'quay.io/team/app:1', 30, 'quay.io/team/app:1'],
    ['a text of the maximal length', 'a'.repeat(30), 30, 'a'.repeat(30)],
    ['a longer text', 'a'.repeat(4_000), 30, 'aaaaaaaaa... (4000 characters)'],
    [
      'a longer text, by default',
      'a'.repeat(300),
      undefined,
      `${'a'.repeat(236)}... (300 characters)`,
    ],
  ])('returns %s with at most the maximal length', (_, text, maxLength, result) => {
    expect(cutText(text, maxLength)).toBe(result)
  })

  it('does not divide a pair of surrogates', () => {
    expect(cutText('😀'.repeat(20), 22)).toBe('😀... (40 characters)')
  })
})
