import type { FailedOutcome } from '../decision/resolve/manifest-source.ts'
import { destinationName, type ImagePair, sourceName } from './image-pair.ts'
import type { RefusalCode } from './image-refused.ts'

export type CopyStatus =
  /** Copied, and verified. */
  | 'copied'
  /** The mirror already had it. */
  | 'current'
  /** The mirror had the manifest, but not everything below it. */
  | 'repaired'
  /** A dry run: would be copied. */
  | 'planned'
  | 'failed'

/** Why a copy failed. `refused`: by `mirror.verify`. */
export type CopyOutcome = FailedOutcome | 'refused'

/** The result of copying one image. */
export interface CopyResult {
  readonly pair: ImagePair
  readonly status: CopyStatus
  readonly sourceDigest: string | null
  /** The digest that the mirror serves after the copy. */
  readonly mirrorDigest: string | null
  readonly platforms: readonly string[]
  /** The digests of attestations that the index lists, but that do not exist. */
  readonly missingAttestations: readonly string[]
  readonly bytesMoved: number
  readonly bytesThere: number
  readonly seconds: number
  /** The reason for a failure. */
  readonly detail: string | null
  readonly outcome?: CopyOutcome
  /** Only for an image that `mirror.verify` refuses. */
  readonly refusal?: { readonly code: RefusalCode; readonly rule: string }
  /** If the source has the repository but not the tag: its tags, the most similar first. */
  readonly tags?: readonly string[]
}

/** Returns a result as JSON for `berth mirror -o json` and the audit log. The names are a contract. */
export function resultRecord(result: CopyResult): Readonly<Record<string, unknown>> {
  const { pair, detail, outcome, refusal = {}, tags, ...rest } = result
  return {
    source: sourceName(pair),
    destination: destinationName(pair),
    row: pair.row,
    status: rest.status,
    sourceDigest: rest.sourceDigest,
    mirrorDigest: rest.mirrorDigest,
    platforms: rest.platforms,
    ...(rest.missingAttestations.length === 0
      ? {}
      : { missingAttestations: rest.missingAttestations }),
    bytesMoved: rest.bytesMoved,
    bytesThere: rest.bytesThere,
    seconds: rest.seconds,
    error:
      detail === null
        ? null
        : { outcome: outcome ?? null, ...refusal, message: detail, tags: tags ?? [] },
  }
}
