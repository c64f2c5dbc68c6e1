/** Reads which image a signed document is about. The documents come from registries: anyone can have written them. */
import { findJsonProblem } from '../json/json-scanner.ts'
import { isObject, type JsonObject, member, objectsMember, textMember } from '../json/json.ts'

const limits = { maxDepth: 32, maxValues: 10_000 }

/** The type of a signature of an image (cosign, specs/SIGNATURE_SPEC.md). */
const simpleSigningType = 'cosign container image signature'

/** The type of the statement in a bundle that signs an image. Other statements are attestations. */
const signatureType = 'https://sigstore.dev/cosign/sign/v1'

const statementTypes = ['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1']

/** Parses JSON of a registry; null if it is not an object, nests too deep, or has too many values. */
export function parseUntrustedObject(bytes: Buffer): JsonObject | null {
  if (findJsonProblem(bytes, limits) !== null) return null
  const document: unknown = JSON.parse(bytes.toString('utf8'))
  return isObject(document) ? document : null
}

/** Returns the digest of the image that a simple signing payload is about; null if it is another document. */
export function simpleSigningDigest(payload: Buffer): string | null {
  const critical = member(parseUntrustedObject(payload), 'critical')
  if (textMember(critical, 'type') !== simpleSigningType) return null
  const digest = textMember(member(critical, 'image'), 'docker-manifest-digest')
  return digest === '' ? null : digest
}

/** Returns the digests of the images that an in-toto statement signs; null if it is not a signature of an image. */
export function statementDigests(payload: Buffer): readonly string[] | null {
  const statement = parseUntrustedObject(payload)
  if (!statementTypes.includes(textMember(statement, '_type'))) return null
  if (textMember(statement, 'predicateType') !== signatureType) return null
  return objectsMember(statement, 'subject').flatMap((subject) => {
    const digests = member(subject, 'digest')
    return isObject(digests)
      ? Object.entries(digests).map(([algorithm, hex]) => `${algorithm}:${String(hex)}`)
      : []
  })
}
