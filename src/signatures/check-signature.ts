/** Checks one cosign signature of an image, in either format, against public keys or against an identity. */
import type { KeyObject } from 'node:crypto'
import type { JsonObject } from '../json/json.ts'
import { simpleSigningDigest, statementDigests } from './claims.ts'
import { envelopeOf } from './dsse.ts'
import { isSignedBy } from './public-keys.ts'

/** A signature as a registry serves it. */
export type ImageSignature =
  /** A layer of the tag `sha256-….sig`, or of a referrer with the same layers. */
  | {
      readonly format: 'simple-signing'
      readonly payload: Buffer
      readonly signature: Buffer
      readonly annotations: unknown
    }
  /** A sigstore bundle (application/vnd.dev.sigstore.bundle.v0.3+json). */
  | { readonly format: 'bundle'; readonly bundle: JsonObject }

/** What a keyless signature proves about its signer. */
export interface SignerIdentity {
  /** The subject alternative name of the certificate: an email address, or the URI of a workflow. */
  readonly identity: string
  /** The URL of the OpenID Connect provider. */
  readonly issuer: string
  /** When a transparency log or a timestamp authority recorded the signature, in milliseconds since the epoch. */
  readonly signedAt: number
}

export type Trust =
  | { readonly kind: 'keys'; readonly keys: readonly KeyObject[] }
  | {
      readonly kind: 'identity'
      readonly isTrusted: (signer: SignerIdentity) => boolean
      /** Returns the signer; or, if the signature does not prove one, the reason as text. */
      readonly identify: (signature: ImageSignature) => SignerIdentity | string
    }

export type SignatureProblem =
  /** Not made by the trusted signer, or changed since. */
  | 'signature-invalid'
  /** Valid, and made by someone else. */
  | 'wrong-signer'
  /** Valid, and of another image. */
  | 'wrong-image'

export type SignatureCheck =
  | {
      readonly ok: true
      /** Null for a signature of a key. */
      readonly signedAt: number | null
    }
  | { readonly ok: false; readonly problem: SignatureProblem; readonly detail: string }

/** Checks a signature of the image with this digest. Returns null for an attestation, which is not a signature. */
export function checkSignature(
  signature: ImageSignature,
  digest: string,
  trust: Trust,
): SignatureCheck | null {
  const claimed = claimedDigests(signature)
  if (claimed === null) return null
  const signer =
    trust.kind === 'keys' ? checkKeys(signature, trust.keys) : identify(signature, trust)
  if (!signer.ok) return signer
  if (claimed.includes(digest)) return signer
  return failure('wrong-image', 'it is the signature of another image')
}

/** Returns the digests that the document names, whether or not its signature is valid. */
function claimedDigests(signature: ImageSignature): readonly string[] | null {
  if (signature.format === 'simple-signing') {
    const digest = simpleSigningDigest(signature.payload)
    return digest === null ? null : [digest]
  }
  const envelope = envelopeOf(signature.bundle)
  return envelope === null ? null : statementDigests(envelope.payload)
}

function checkKeys(signature: ImageSignature, keys: readonly KeyObject[]): SignatureCheck {
  const isSigned =
    signature.format === 'simple-signing'
      ? isSignedBy(keys, signature.payload, signature.signature)
      : isEnvelopeSigned(signature.bundle, keys)
  if (isSigned) return { ok: true, signedAt: null }
  return failure('signature-invalid', 'another key made it, or it was changed afterwards')
}

function isEnvelopeSigned(bundle: JsonObject, keys: readonly KeyObject[]): boolean {
  const envelope = envelopeOf(bundle)
  return envelope?.signatures.some((each) => isSignedBy(keys, envelope.signedBytes, each)) === true
}

function identify(
  signature: ImageSignature,
  { identify: identifySigner, isTrusted }: Extract<Trust, { kind: 'identity' }>,
): SignatureCheck {
  const signer = identifySigner(signature)
  if (typeof signer === 'string') return failure('signature-invalid', signer)
  if (isTrusted(signer)) return { ok: true, signedAt: signer.signedAt }
  const { identity, issuer } = signer
  return failure('wrong-signer', `${shown(identity)} made it, with the issuer ${shown(issuer)}`)
}

/** Anyone can get a certificate, so names in it are untrusted text. */
function shown(text: string): string {
  return /^[\x21-\x7e]{1,300}$/.test(text) ? text : '…'
}

function failure(problem: SignatureProblem, detail: string): SignatureCheck {
  return { ok: false, problem, detail }
}
