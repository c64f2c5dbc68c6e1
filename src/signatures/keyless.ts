/**
 * Identifies the signer of a keyless signature: verifies its certificate, timestamps and log entries against a trusted root.
 * Only this file imports the libraries of sigstore. Makes no requests.
 */
import { type Bundle, bundleFromJSON } from '@sigstore/bundle'
import { TrustedRoot } from '@sigstore/protobuf-specs'
import { type SignedEntity, toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify'
import type { JsonObject } from '../json/json.ts'
import type { ImageSignature, SignerIdentity } from './check-signature.ts'
import { legacyBundle } from './legacy-bundle.ts'
import { envelopeOf } from './dsse.ts'

/** Cosign writes one entry of a log, or one timestamp. */
const maxEntries = 8

/** The library uses the names in a checkpoint as regular expressions (@sigstore/verify, tlog/checkpoint.js). */
const checkpointNames = /\u2014 (\S+) \S+\n/g
const safeName = /^[\w.:/-]{1,255}$/

/** Returns a function that identifies the signer of a signature; null for an invalid trusted root. */
export function createIdentify(
  trustedRoot: JsonObject,
): ((signature: ImageSignature) => SignerIdentity | string) | null {
  const verifier = createVerifier(trustedRoot)
  if (verifier === null) return null
  return (signature) => {
    try {
      return identify(verifier, signature)
    } catch (error) {
      // The library throws errors of many types for malformed content, and repeats parts of it in messages.
      return `its certificate or log entry is not valid (${codeOf(error)})`
    }
  }
}

/** A trusted root without logs belongs to a private instance that uses timestamps only. */
function createVerifier(trustedRoot: JsonObject): Verifier | null {
  try {
    const root = TrustedRoot.fromJSON(trustedRoot)
    if (root.certificateAuthorities.length === 0) return null
    return new Verifier(toTrustMaterial(root), {
      ctlogThreshold: root.ctlogs.length === 0 ? 0 : 1,
      tlogThreshold: root.tlogs.length === 0 ? 0 : 1,
      timestampThreshold: 1,
    })
  } catch {
    return null
  }
}

function identify(verifier: Verifier, signature: ImageSignature): SignerIdentity | string {
  const entity = entityOf(signature)
  if (typeof entity === 'string') return entity
  const { identity } = verifier.verify(entity)
  const name = identity?.subjectAlternativeName
  const issuer = identity?.extensions?.issuer
  if (name === undefined || issuer === undefined) return 'its certificate names no identity'
  return { identity: name, issuer, signedAt: Math.min(...entity.timestamps.map(timeOf)) }
}

/** Returns the entity that the library verifies; or a reason, if it is not the document from which Berth reads the digest. */
function entityOf(signature: ImageSignature): SignedEntity | string {
  const json = signature.format === 'bundle' ? signature.bundle : legacyBundle(signature)
  if (json === null) return 'it has no certificate'
  const bundle = bundleFromJSON(json)
  const problem = problemOf(bundle)
  if (problem !== null) return problem
  if (signature.format === 'simple-signing') return toSignedEntity(bundle, signature.payload)
  const payload = envelopeOf(signature.bundle)?.payload
  // A bundle with two contents would be verified as one, and read as the other.
  const isSame =
    bundle.content.$case === 'dsseEnvelope' &&
    payload !== undefined &&
    bundle.content.dsseEnvelope.payload.equals(payload)
  return isSame ? toSignedEntity(bundle) : 'it is not a bundle with one statement'
}

function problemOf({ verificationMaterial }: Bundle): string | null {
  const { content, tlogEntries, timestampVerificationData } = verificationMaterial
  if (content.$case === 'publicKey') return 'it is signed with a key'
  const timestamps = timestampVerificationData?.rfc3161Timestamps ?? []
  if (tlogEntries.length + timestamps.length > maxEntries) return 'it has too many log entries'
  const names = tlogEntries.flatMap(({ inclusionProof }) => {
    const { envelope = '' } = inclusionProof?.checkpoint ?? {}
    return [...envelope.matchAll(checkpointNames)].map(([, name = '']) => name)
  })
  return names.every((name) => safeName.test(name))
    ? null
    : 'its log entry has an invalid checkpoint'
}

/** Milliseconds since the epoch. The time of a log entry without a promise is not signed, and not used. */
function timeOf(timestamp: SignedEntity['timestamps'][number]): number {
  if (timestamp.$case === 'timestamp-authority') return timestamp.timestamp.signingTime.getTime()
  const { inclusionPromise, integratedTime } = timestamp.tlogEntry
  return inclusionPromise === undefined ? Infinity : Number(integratedTime) * 1_000
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^[A-Z_]{1,64}$/.test(code) ? code : 'malformed'
}
