/** Reads when the tokens in pull secrets expire. Shows nothing else of them. Pure. */
import type { Keyring } from '../../credentials/keyring.ts'
import { isObject } from '../../json/json.ts'
import type { TokenExpiry } from '../verdict.ts'

/** Characters of a password that are read as a token. A token of ECR has about 2,000. */
const maxTokenLength = 16_384

/**
 * Returns the expiry of each secret that has one: by its annotation, or by its ECR token, which is base64 of a JSON object
 * with a member `expiration`, in seconds since 1970. `annotated` has the annotations by secret; `now` is in milliseconds.
 */
export function readExpiries(
  { entries }: Pick<Keyring, 'entries'>,
  annotated: ReadonlyMap<string, string>,
  now: number,
): Map<string, TokenExpiry> {
  const expiries = new Map<string, TokenExpiry>()
  const add = (secret: string, time: number, from: string) => {
    if (!Number.isFinite(time) || Math.abs(time) > 8.64e15) return
    expiries.set(secret, { at: new Date(time).toISOString(), hasPassed: time <= now, from })
  }
  for (const [secret, text] of annotated)
    add(secret, Date.parse(text), 'annotation berth.dev/expires-at')
  for (const { secret, username, password } of entries)
    if (username === 'AWS') add(secret, ecrExpiration(password), 'the token itself')
  return expiries
}

/** Returns milliseconds since 1970; NaN if the password is not a token of ECR. */
function ecrExpiration(password: string): number {
  if (password.length > maxTokenLength) return NaN
  try {
    const token: unknown = JSON.parse(Buffer.from(password, 'base64').toString('utf8'))
    const expiration = isObject(token) ? token['expiration'] : undefined
    return typeof expiration === 'number' ? expiration * 1_000 : NaN
  } catch {
    return NaN
  }
}
