/** Parses public keys in PEM, and verifies signatures of cosign with them. */
import type { KeyObject } from 'node:crypto'

export type PublicKeysResult =
  | { readonly ok: true; readonly keys: readonly KeyObject[] }
  /** The message completes "the key …", and repeats nothing of the text. */
  | { readonly ok: false; readonly message: string }

/** Loaded with the first key: every command with a config loads this file, and few configs have keys. */
const crypto = () => process.getBuiltinModule('node:crypto')

/** A file with old and new keys has two or three. */
const maxKeys = 8

/** The size that an RSA key needs today, and a limit on the work of each verification. */
const rsaBits = { min: 2_048, max: 8_192 }

const publicKeyBlock = /-----BEGIN PUBLIC KEY-----[\sA-Za-z0-9+/=]+-----END PUBLIC KEY-----/g

/** Returns the keys in a PEM text. A signature counts if it was made with one of them. */
export function parsePublicKeys(pem: string): PublicKeysResult {
  if (pem.includes('PRIVATE KEY-----'))
    return failure('has a private key; use the public key, which is in cosign.pub')
  const blocks = pem.match(publicKeyBlock) ?? []
  if (blocks.length === 0) return failure('has no PEM block PUBLIC KEY')
  if (blocks.length > maxKeys) return failure(`has more than ${maxKeys} public keys`)
  const keys = blocks.map(parseKey)
  const valid = keys.filter((key) => key !== null)
  return valid.length === keys.length
    ? { ok: true, keys: valid }
    : failure('is not an ECDSA P-256, Ed25519 or RSA key (2048 to 8192 bits)')
}

function parseKey(pem: string): KeyObject | null {
  try {
    const key = crypto().createPublicKey(pem)
    return isSupported(key) ? key : null
  } catch {
    return null
  }
}

function isSupported({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject) {
  const { namedCurve, modulusLength = 0 } = details ?? {}
  if (type === 'ec') return namedCurve === 'prime256v1'
  if (type === 'rsa') return modulusLength >= rsaBits.min && modulusLength <= rsaBits.max
  return type === 'ed25519'
}

/** Returns whether the signature of the bytes was made with one of the keys. The hash is SHA-256, as in cosign. */
export function isSignedBy(keys: readonly KeyObject[], bytes: Buffer, signature: Buffer): boolean {
  return keys.some((key) => {
    try {
      const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
      return crypto().verify(algorithm, bytes, key, signature)
    } catch {
      return false
    }
  })
}

function failure(message: string): PublicKeysResult {
  return { ok: false, message }
}
