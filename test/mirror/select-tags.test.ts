import { describe, expect, it } from 'vitest'
import { selectTags } from '../../src/mirror/select-tags.ts'

const tags = ['1.9.0', '1.10.0', '1.10.0-alpine', 'v1.11', '2.0.0', 'latest', 'nightly-3']
const any = () => true

describe('selectTags', () => {
  it.each([
    [
      'a pattern',
      { matches: (tag: string) => tag.startsWith('nightly'), semver: null, newest: null },
      ['nightly-3'],
    ],
    ['a range', { matches: any, semver: '>=1.9 <2', newest: null }, ['v1.11', '1.10.0', '1.9.0']],
    ['a number', { matches: any, semver: null, newest: 2 }, ['2.0.0', 'v1.11']],
    ['a range and a number', { matches: any, semver: '1', newest: 1 }, ['v1.11']],
  ])('selects by %s', (_, selector, selected) => {
    expect(selectTags(tags, selector)).toEqual(selected)
  })
})
