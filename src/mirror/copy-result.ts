import type { FailedOutcome } from '../decision/resolve/manifest-source.ts'
import type { ImagePair } from './image-pair.ts'

export type CopyStatus =
  /** Copied, and read back. */
  | 'copied'
  /** The mirror had it already. */
  | 'current'
  /** The mirror had the manifest, and had lost something below it. */
  | 'repaired'
  /** With `--dry-run`: would be copied. */
  | 'planned'
  | 'failed'

/** What came of one pair. */
export interface CopyResult {
  readonly pair: ImagePair
  readonly status: CopyStatus
  readonly sourceDigest: string | null
  /** As the mirror says it, after copying. */
  readonly mirrorDigest: string | null
  readonly platforms: readonly string[]
  readonly bytesMoved: number
  readonly bytesThere: number
  readonly seconds: number
  /** Why it failed. */
  readonly detail: string | null
  readonly outcome?: FailedOutcome
  /** When the source has the repository and not the tag: the tags most like it first. */
  readonly tags?: readonly string[]
}
