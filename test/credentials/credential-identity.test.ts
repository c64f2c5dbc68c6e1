import { describe, expect, it } from 'vitest'
import { credentialIdentity } from '../../src/credentials/credential-identity.ts'

describe('credentialIdentity', () => {
  const make = (username: string, password: string) => ({ username, password, source: 'test' })

  it('is `anonymous` for no credentials', () => {
    expect(credentialIdentity([])).toBe('anonymous')
  })

  it('is the same for the same users and passwords from another source', () => {
    const other = { ...make('u', 'p'), source: 'elsewhere' }

    expect(credentialIdentity([make('u', 'p')])).toBe(credentialIdentity([other]))
  })

  it.each([
    [[make('u', 'p')], [make('u', 'q')]],
    [[make('u', 'p')], [make('v', 'p')]],
    [[make('ab', 'c')], [make('a', 'bc')]],
    [[make('u', 'p')], [make('u', 'p'), make('v', 'q')]],
    [
      [make('u', 'p'), make('v', 'q')],
      [make('v', 'q'), make('u', 'p')],
    ],
  ])('is a hash that differs between %j and %j', (one, other) => {
    expect(credentialIdentity(one)).toMatch(/^[0-9a-f]{32}$/)
    expect(credentialIdentity(one)).not.toBe(credentialIdentity(other))
  })
})
