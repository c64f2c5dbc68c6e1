import { describe, expect, it } from 'vitest'
import { similarTags } from '../../src/text/similar-tags.ts'

describe('similarTags', () => {
  it('counts letters that a tag adds half as much as letters that differ', () => {
    expect(similarTags('1.2', ['9', '1.3', '1.2.1', 'latest'])).toEqual([
      '1.3',
      '1.2.1',
      '9',
      'latest',
    ])
  })

  it('sorts equally similar tags by version, the newest first', () => {
    expect(similarTags('1.8', ['1.9', '1.10', '1.7'])).toEqual(['1.9', '1.7', '1.10'])
  })
})
