/** Reads the trusted root of sigstore: the certificate authorities and logs that keyless signatures rely on. */
import { member, textMember, type JsonObject } from '../json/json.ts'
import { parseUntrustedObject } from './claims.ts'

/** The trusted root of the public instance takes 10 KB. */
export const maxTrustedRootBytes: number = 1024 * 1024

const mediaTypePrefix = 'application/vnd.dev.sigstore.trustedroot'

/** Returns the trusted root as JSON; null if the bytes are something else. */
export function parseTrustedRoot(bytes: Buffer): JsonObject | null {
  const document = parseUntrustedObject(bytes)
  const isRoot = textMember(document, 'mediaType').startsWith(mediaTypePrefix)
  return isRoot && Array.isArray(member(document, 'certificateAuthorities')) ? document : null
}
