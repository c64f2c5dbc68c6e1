import { formatReference } from '../decision/reference/reference.ts'
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

/** Returns a result as JSON for `berth mirror -o json` and the audit log. The names are a contract. */
export function resultRecord(result: CopyResult): Readonly<Record<string, unknown>> {
  const { pair, detail, outcome, tags, ...rest } = result
  return {
    source: formatReference(pair.source),
    destination: formatReference(pair.destination),
    row: pair.row,
    status: rest.status,
    sourceDigest: rest.sourceDigest,
    mirrorDigest: rest.mirrorDigest,
    platforms: rest.platforms,
    bytesMoved: rest.bytesMoved,
    bytesThere: rest.bytesThere,
    seconds: rest.seconds,
    error: detail === null ? null : { outcome: outcome ?? null, message: detail, tags: tags ?? [] },
  }
}
