/**
 * The fallback table: from a reference to the candidates that are tried for it, in order. Pure; asks nobody.
 * Whether a candidate exists is found out in `resolve`.
 */
import { parseReference, isSameImage } from '../reference/parse.ts'
import {
  defaultTag,
  formatReference,
  type Reference,
  repositoryName,
  withDefaultTag,
} from '../reference/reference.ts'
import { canonicalReference } from './registry-aliases.ts'
import type { ImagePattern } from './image-pattern.ts'
import { indexRows, type RowIndex } from './row-index.ts'
import { renderTemplate, type ImageTemplate } from './image-template.ts'

export interface FallbackRow {
  readonly name: string
  readonly images: readonly ImagePattern[]
  /** From the tag that is asked for to the tag that is tried. */
  readonly tags: ReadonlyMap<string, string>
  readonly try: readonly ImageTemplate[]
  /** What happens when no candidate is found: keep the image, take the first candidate unproved, or refuse the pod. */
  readonly otherwise: 'keep' | 'first' | 'deny'
  /** Whether another publisher's copy may be taken by its tag, or only when it serves the original's digest. */
  readonly alternates: 'tag' | 'digest'
}

export interface FallbackTable {
  readonly rows: readonly FallbackRow[]
  /** Hosts that are mirrors: registries of the operator's own. */
  readonly mirrors: ReadonlySet<string>
  readonly index: RowIndex
}

/** A table of these rows, filed for lookup. */
export function createTable(
  rows: readonly FallbackRow[],
  mirrors: ReadonlySet<string>,
): FallbackTable {
  return { rows, mirrors, index: indexRows(rows.map(({ images }) => images)) }
}

/**
 * `original`: the image that was asked for. `mirror`: the same content by construction. `alternate`: another
 * publisher's copy, which the operator has written in the row.
 */
export type CandidateKind = 'original' | 'mirror' | 'alternate'

export interface Candidate {
  /** The whole name, tag or digest included. */
  readonly image: string
  /** Null when the template, filled in, is no image name; `error` then says why. */
  readonly reference: Reference | null
  readonly error: string | null
  readonly kind: CandidateKind
}

export interface CandidateSelection {
  /** Null when no row matches. */
  readonly row: FallbackRow | null
  readonly candidates: readonly Candidate[]
}

/**
 * The first row that matches decides. An image that stands on a mirror is matched by rows that name that mirror and by
 * no others, so that nothing is prefixed twice.
 *
 * @example select(table, nginx, 'default') // row docker-hub: anubis:32000/library/nginx:latest, docker.io/library/nginx:latest
 */
export function selectCandidates(
  table: FallbackTable,
  reference: Reference,
  namespace: string,
): CandidateSelection {
  // An empty domain (`foo_bar.com/x`) is a host that no rule can know: see the grammar in reference/parse.ts.
  if (reference.domain === '') return { row: null, candidates: [] }
  const canonical = canonicalReference(reference)
  const row = table.rows[table.index.find(canonical, table.mirrors.has(canonical.domain))]
  if (row === undefined) return { row: null, candidates: [] }
  const candidates = new Map<string, Candidate>()
  for (const template of row.try) {
    const candidate = createCandidate(table, row, template, { reference: canonical, namespace })
    if (!candidates.has(candidate.image)) candidates.set(candidate.image, candidate)
  }
  return { row, candidates: [...candidates.values()] }
}

/** What one template of a row makes of a reference. */
export function createCandidate(
  table: FallbackTable,
  row: FallbackRow,
  template: ImageTemplate,
  input: { readonly reference: Reference; readonly namespace: string },
): Candidate {
  const { reference } = input
  const name = renderTemplate(template, input)
  const parsed = parseReference(name)
  const parts = withDefaultTag({ ...reference, tag: mappedTag(row, reference) })
  const suffix = formatReference({ ...parts, domain: '', path: '' })
  if (!parsed.ok || parsed.reference.tag !== null) {
    const error = parsed.ok ? 'the name is not a repository' : parsed.message
    return { image: `${name}${suffix}`, reference: null, error, kind: 'alternate' }
  }
  const made: Reference = { ...parsed.reference, tag: parts.tag, digest: parts.digest }
  return {
    image: formatReference(made),
    reference: made,
    error: null,
    kind: kindOf(table, made, reference),
  }
}

/** A digest decides what is pulled, so the tag beside it is left as people wrote it. */
function mappedTag(row: FallbackRow, { tag, digest }: Reference): string | null {
  if (digest !== null) return tag
  return row.tags.get(tag ?? defaultTag) ?? tag
}

function kindOf(table: FallbackTable, made: Reference, original: Reference): CandidateKind {
  if (isSameImage(made, original)) return 'original'
  // Another tag of the same repository is the same publisher's content.
  const sameSource =
    table.mirrors.has(made.domain) || repositoryName(made) === repositoryName(original)
  return sameSource ? 'mirror' : 'alternate'
}
