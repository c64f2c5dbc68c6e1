import { describe, expect, it } from 'vitest'
import { compileTagGlob } from '../../../src/decision/fallback/glob.ts'

describe('compileTagGlob', () => {
  it.each([
    ['latest', 'latest', true],
    ['*-snapshot', '1.2-snapshot', true],
    ['v[0-9]', 'v1', true],
    ['latest', 'latest2', false],
  ])('%s matches %s: %s', (glob, tag, expected) => {
    expect(compileTagGlob(glob)?.(tag)).toBe(expected)
  })

  it.each(['', '{a,b}', 'a/b', '**', '*a*a*a*a*a*', 'x'.repeat(200)])(
    'returns null for %j',
    (glob) => {
      expect(compileTagGlob(glob)).toBeNull()
    },
  )
})
