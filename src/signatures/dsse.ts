/** Reads DSSE envelopes of sigstore bundles (secure-systems-lab/dsse, protocol.md). */
import { member, objectsMember, textMember } from '../json/json.ts'

export interface DsseEnvelope {
  readonly payload: Buffer
  /** The bytes that are signed: the payload with its type. */
  readonly signedBytes: Buffer
  readonly signatures: readonly Buffer[]
}

const inTotoType = 'application/vnd.in-toto+json'

/** Returns the envelope of a bundle; null if it has none, or not one with an in-toto statement. */
export function envelopeOf(bundle: unknown): DsseEnvelope | null {
  const envelope = member(bundle, 'dsseEnvelope')
  if (textMember(envelope, 'payloadType') !== inTotoType) return null
  const payload = Buffer.from(textMember(envelope, 'payload'), 'base64')
  const header = `DSSEv1 ${inTotoType.length} ${inTotoType} ${payload.length} `
  return {
    payload,
    signedBytes: Buffer.concat([Buffer.from(header), payload]),
    // Cosign writes one. Berth ignores others.
    signatures: objectsMember(envelope, 'signatures')
      .slice(0, 1)
      .map((each) => Buffer.from(textMember(each, 'sig'), 'base64')),
  }
}
