import { describe, expect, it } from 'vitest'
import { contentHash } from '../../src/pull-secrets/content-hash.ts'

describe('contentHash', () => {
  it('ignores white space and the order of keys', () => {
    expect(contentHash('{"a":1,"b":{"d":2,"c":[1,2]}}')).toBe(
      contentHash('{ "b": {"c":[1,2],"d":2}, "a": 1 }'),
    )
  })

  it('distinguishes the order of a list', () => {
    expect(contentHash('{"a":[1,2]}')).not.toBe(contentHash('{"a":[2,1]}'))
  })

  it('hashes text that is not JSON as it is', () => {
    expect(contentHash('{')).not.toBe(contentHash('}'))
  })
})
