import { createHash } from 'node:crypto'
import type { Credential } from './keychain.ts'

/** 32 hexadecimal digits are 128 bits: no two credentials of one cluster will ever share them. */
const identityLength = 32

/** Tells credentials apart in cache keys without telling what they are. */
export function credentialIdentity(credentials: readonly Credential[]): string {
  if (credentials.length === 0) return 'anonymous'
  const pairs = credentials.map(({ username, password }) => [username, password])
  return createHash('sha256').update(JSON.stringify(pairs)).digest('hex').slice(0, identityLength)
}
