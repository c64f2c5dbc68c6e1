/** Computes and shortens the digests of manifests and blobs. */
import { createHash } from 'node:crypto'

/** Returns the algorithm of a digest, such as `sha256`. */
export function algorithmOf(digest: string): string {
  return digest.split(':', 1)[0] ?? ''
}

/** Returns the digest of these bytes, by the algorithm of another digest. */
export function digestLike(digest: string, bytes: Buffer): string {
  const algorithm = algorithmOf(digest)
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** Returns a digest for messages, with 12 hexadecimal digits, as docker shows it. */
export function shortDigest(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return `${algorithm}:${hex.slice(0, 12)}`
}
