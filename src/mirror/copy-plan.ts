/** From images to pairs: the rows of the table say where an image belongs, exactly as they say where it is looked for. Pure. */
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { selectCandidates, type FallbackTable } from '../decision/fallback/table.ts'
import { formatReference, type Reference, withDefaultTag } from '../decision/reference/reference.ts'
import type { ImagePair } from './image-pair.ts'

export interface ImageToCopy {
  readonly reference: Reference
  /** For templates with `{namespace}`. */
  readonly namespace: string
}

export interface CopyPlan {
  readonly pairs: readonly ImagePair[]
  /** Images that nothing is done for, and why. */
  readonly skipped: readonly { readonly image: string; readonly reason: string }[]
}

/**
 * The first mirror candidate on each mirror of the row, from the image's own registry under the tag that the row tries.
 * Alternates are neither: another publisher's copy must not come to stand under this one's name.
 */
export function planCopies(table: FallbackTable, images: readonly ImageToCopy[]): CopyPlan {
  const pairs = new Map<string, ImagePair>()
  const skipped = new Map<string, string>()
  for (const { reference, namespace } of images) {
    const canonical = canonicalReference(reference)
    const image = formatReference(withDefaultTag(canonical))
    const made = table.mirrors.has(canonical.domain) ? [] : pairsOf(table, canonical, namespace)
    if (made.length === 0) skipped.set(image, reasonFor(table, canonical))
    for (const pair of made) {
      const key = formatReference(pair.destination)
      const other = pairs.get(key)
      if (other === undefined) pairs.set(key, pair)
      else if (formatReference(other.source) !== formatReference(pair.source)) {
        const taken = `${formatReference(other.source)} already goes to ${key}`
        skipped.set(image, `${taken}; keep upstreams apart with {host} in the row's template`)
      }
    }
  }
  return {
    pairs: [...pairs.values()],
    skipped: [...skipped].map(([image, reason]) => ({ image, reason })),
  }
}

function pairsOf(table: FallbackTable, canonical: Reference, namespace: string): ImagePair[] {
  const { row, candidates } = selectCandidates(table, canonical, namespace)
  const hosts = new Set<string>()
  return candidates.flatMap(({ reference, kind }) => {
    if (kind !== 'mirror' || reference === null || !table.mirrors.has(reference.domain)) return []
    if (hosts.has(reference.domain)) return []
    hosts.add(reference.domain)
    const { tag, digest } = reference
    return [
      { source: { ...canonical, tag, digest }, destination: reference, row: row?.name ?? null },
    ]
  })
}

function reasonFor(table: FallbackTable, { domain }: Reference): string {
  return table.mirrors.has(domain)
    ? 'stands on a mirror already'
    : 'no row of the table has a mirror for it'
}
