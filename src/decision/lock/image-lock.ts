/** Locked images, and how an image is found among them. `lock-text.ts` has their text. */
import { canonicalReference } from '../fallback/registry-aliases.ts'
import { formatReference, type Reference, withDefaultTag } from '../reference/reference.ts'

export interface LockedImage {
  /** The full image with its tag, as `lockKey` returns it. */
  readonly image: string
  readonly digest: string
  /** The registry that served the digest. */
  readonly from: string
  /** The day on which this digest was locked, for example `2026-11-21`. */
  readonly date: string
}

/** Locked images by `lockKey`. */
export type ImageLock = ReadonlyMap<string, LockedImage>

/** Returns the key of an image in a lock file: the full image with its tag, on the canonical host. */
export function lockKey(reference: Reference): string {
  return formatReference(withDefaultTag(canonicalReference(reference)))
}

/** Returns the locked digest of an image; null if the image is not locked or already has a digest. */
export function lockedDigest(lock: ImageLock, reference: Reference): string | null {
  return reference.digest === null ? (lock.get(lockKey(reference))?.digest ?? null) : null
}
