import { createHash } from 'node:crypto'
import type { Credential } from './keychain.ts'

/** 128 bits, so that two credentials never share an identity. */
const identityLength = 32

/** Returns a hash that distinguishes credentials in cache keys without revealing them; `anonymous` for none. */
export function credentialIdentity(credentials: readonly Credential[]): string {
  if (credentials.length === 0) return 'anonymous'
  const pairs = credentials.map(({ username, password, identityToken }) =>
    identityToken === undefined ? [username, password] : [username, password, identityToken],
  )
  return createHash('sha256').update(JSON.stringify(pairs)).digest('hex').slice(0, identityLength)
}
