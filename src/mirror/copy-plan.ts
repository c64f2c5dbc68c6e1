/** Plans which images are copied where: to the same mirrors where the rows of the table look for them. Pure. */
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { type FallbackTable, selectCandidates } from '../decision/fallback/table.ts'
import { formatReference, type Reference, withDefaultTag } from '../decision/reference/reference.ts'
import type { ImagePair } from './image-pair.ts'

export interface ImageToCopy {
  readonly reference: Reference
  /** For templates with `{namespace}`. */
  readonly namespace: string
}

export interface CopyPlan {
  readonly pairs: readonly ImagePair[]
  readonly skipped: readonly { readonly image: string; readonly reason: string }[]
}

/**
 * Plans a copy to the first mirror candidate on each mirror of the row, from the registry of the image, with the tag that the
 * row tries. Alternates are not copied: the mirror would serve another publisher's image under this name.
 */
export function planCopies(table: FallbackTable, images: readonly ImageToCopy[]): CopyPlan {
  const pairs = new Map<string, ImagePair>()
  const skipped = new Map<string, string>()
  for (const { reference, namespace } of images) {
    const canonical = canonicalReference(reference)
    const image = formatReference(withDefaultTag(canonical))
    const isOnMirror = table.mirrors.has(canonical.domain)
    const planned = isOnMirror ? [] : pairsOf(table, canonical, namespace)
    if (planned.length === 0) {
      skipped.set(image, isOnMirror ? 'already on a mirror' : 'no row has a mirror for it')
    }
    for (const pair of planned) {
      const destination = formatReference(pair.destination)
      const other = pairs.get(destination)
      if (other === undefined) pairs.set(destination, pair)
      else if (formatReference(other.source) !== formatReference(pair.source)) {
        const conflict = `${formatReference(other.source)} is already copied to ${destination}`
        skipped.set(image, `${conflict}; use {host} in the row's template to separate upstreams`)
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
