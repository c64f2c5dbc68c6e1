/** Converts a keyless signature in the annotations of a layer, as cosign 1 and 2 write it, to a sigstore bundle. */
import { createHash } from 'node:crypto'
import { type JsonObject, member, textMember } from '../json/json.ts'
import type { ImageSignature } from './check-signature.ts'
import { parseUntrustedObject } from './claims.ts'

/** The version of bundles that accepts the promise of a log without an inclusion proof. */
const bundleMediaType = 'application/vnd.dev.sigstore.bundle+json;version=0.1'

const certificatePattern = /-----BEGIN CERTIFICATE-----([\sA-Za-z0-9+/=]+)-----END CERTIFICATE-----/

/** Returns the bundle; null for a signature without a certificate. */
export function legacyBundle({
  payload,
  signature,
  annotations,
}: Extract<ImageSignature, { format: 'simple-signing' }>): JsonObject | null {
  const certificate = textMember(annotations, 'dev.sigstore.cosign/certificate')
  const [, certificateBase64] = certificatePattern.exec(certificate) ?? []
  if (certificateBase64 === undefined) return null
  const logEntry = logEntryOf(annotations)
  const timestamp = textMember(
    parseAnnotation(annotations, 'dev.sigstore.cosign/rfc3161timestamp'),
    'SignedRFC3161Timestamp',
  )
  return {
    mediaType: bundleMediaType,
    verificationMaterial: {
      x509CertificateChain: {
        certificates: [{ rawBytes: certificateBase64.replaceAll(/\s/g, '') }],
      },
      tlogEntries: logEntry === null ? [] : [logEntry],
      timestampVerificationData: {
        rfc3161Timestamps: timestamp === '' ? [] : [{ signedTimestamp: timestamp }],
      },
    },
    messageSignature: {
      messageDigest: {
        algorithm: 'SHA2_256',
        digest: createHash('sha256').update(payload).digest('base64'),
      },
      signature: signature.toString('base64'),
    },
  }
}

/** The entry of Rekor, with the signed promise to include it (cosign, pkg/cosign/bundle). */
function logEntryOf(annotations: unknown): JsonObject | null {
  const bundle = parseAnnotation(annotations, 'dev.sigstore.cosign/bundle')
  const promise = textMember(bundle, 'SignedEntryTimestamp')
  const entry = member(bundle, 'Payload')
  const body = textMember(entry, 'body')
  const content = parseUntrustedObject(Buffer.from(body, 'base64'))
  if (promise === '' || content === null) return null
  return {
    logIndex: String(member(entry, 'logIndex')),
    logId: { keyId: Buffer.from(textMember(entry, 'logID'), 'hex').toString('base64') },
    kindVersion: { kind: textMember(content, 'kind'), version: textMember(content, 'apiVersion') },
    integratedTime: String(member(entry, 'integratedTime')),
    inclusionPromise: { signedEntryTimestamp: promise },
    canonicalizedBody: body,
  }
}

function parseAnnotation(annotations: unknown, name: string): JsonObject | null {
  return parseUntrustedObject(Buffer.from(textMember(annotations, name)))
}
