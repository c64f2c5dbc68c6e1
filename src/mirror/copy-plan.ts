/** Plans which images are copied where: to the same mirrors where the rows of the table look for them. Pure. */
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import type { PodContext } from '../decision/fallback/pod-context.ts'
import {
  type Candidate,
  candidatesOf,
  type FallbackRow,
  type FallbackTable,
  selectRow,
} from '../decision/fallback/table.ts'
import { formatReference, type Reference, withDefaultTag } from '../decision/reference/reference.ts'
import { maxRounds } from '../decision/resolve/follow-rows.ts'
import type { ImagePair } from './image-pair.ts'

export interface ImageToCopy {
  readonly reference: Reference
  readonly pod: PodContext
}

export interface CopyPlanOptions {
  /** Whether to include mirrors that Berth never pushes to, to compare them. Default: false. */
  readonly includeNeverPushed?: boolean
}

export interface CopyPlan {
  readonly pairs: readonly ImagePair[]
  readonly skipped: readonly { readonly image: string; readonly reason: string }[]
}

/**
 * Plans a copy to the first mirror candidate on each mirror of the row, from the registry of the image, with the tag that the
 * row tries. Alternates are not copied: the mirror would serve another publisher's image under this name.
 */
export function planCopies(
  table: FallbackTable,
  images: readonly ImageToCopy[],
  { includeNeverPushed = false }: CopyPlanOptions = {},
): CopyPlan {
  const pairs = new Map<string, ImagePair>()
  const skipped = new Map<string, string>()
  for (const { reference, pod } of images) {
    const canonical = canonicalReference(reference)
    const image = formatReference(withDefaultTag(canonical))
    const isOnMirror = table.mirrors.has(canonical.domain)
    const rows = isOnMirror ? [] : rowsFor(table, canonical, pod)
    const wanted = { reference: canonical, pod }
    const onMirrors = rows.flatMap((row) => [
      ...pairsOf(table, row, wanted),
      ...pairsOfNextRows(table, row, wanted),
    ])
    const planned = onMirrors.filter(
      ({ destination }) => includeNeverPushed || !table.neverPushed.has(destination.domain),
    )
    const [unpushed] = onMirrors
    if (planned.length === 0 && unpushed !== undefined)
      skipped.set(image, neverPushedReason(unpushed))
    else if (planned.length === 0)
      skipped.set(image, isOnMirror ? 'already on a mirror' : whyNotMirrored(rows))
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

/** Returns why a pair is not copied. */
export function neverPushedReason({ destination }: ImagePair): string {
  return `${destination.domain} has copy: false, so Berth never pushes to it`
}

/** Returns every row that may decide for the image: a mirror must have what one of them looks for. */
function rowsFor(table: FallbackTable, reference: Reference, pod: PodContext): FallbackRow[] {
  const { row, undecided } = selectRow(table, reference, pod)
  return row === null ? [...undecided] : [...undecided, row]
}

function whyNotMirrored([row]: readonly FallbackRow[]): string {
  return row?.leave === true ? `row ${row.name} leaves it unchanged` : 'no row has a mirror for it'
}

function pairsOf(
  table: FallbackTable,
  row: FallbackRow,
  { reference: canonical, pod }: ImageToCopy,
): ImagePair[] {
  const hosts = new Set<string>()
  return candidatesOf(table, row, canonical, pod).flatMap(({ reference, kind }) => {
    if (kind !== 'mirror' || reference === null || !table.mirrors.has(reference.domain)) return []
    if (hosts.has(reference.domain)) return []
    hosts.add(reference.domain)
    const { tag, digest } = reference
    return [{ source: { ...canonical, tag, digest }, destination: reference, row: row.name }]
  })
}

/**
 * Returns the pairs of the rows that decide the first candidate further (`decision/resolve/follow-rows.ts`). They are copied
 * from where the first row points: from the alternate, or for a mirror from the registry of the image.
 */
function pairsOfNextRows(
  table: FallbackTable,
  first: FallbackRow,
  image: ImageToCopy,
): ImagePair[] {
  const pairs: ImagePair[] = []
  const { pod } = image
  let { domain, path } = image.reference
  let row: FallbackRow | null = first
  let wanted = image
  for (let round = 1; round < maxRounds; round++) {
    const candidate: Candidate | undefined = candidatesOf(table, row, wanted.reference, pod).find(
      ({ reference }) => reference !== null,
    )
    if (candidate === undefined || candidate.reference === null || candidate.kind === 'original')
      break
    if (candidate.kind === 'alternate') ({ domain, path } = candidate.reference)
    wanted = { reference: candidate.reference, pod }
    ;({ row } = selectRow(table, wanted.reference, pod))
    if (row === null) break
    for (const pair of pairsOf(table, row, wanted))
      pairs.push({ ...pair, source: { ...pair.source, domain, path } })
  }
  return pairs
}
