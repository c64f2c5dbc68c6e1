/** The fallback table: selects the row for an image and makes its candidates, in order. Pure; `resolve/` probes them. */
import { isSameImage, parseReference } from '../reference/parse.ts'
import {
  defaultTag,
  formatReference,
  type Reference,
  repositoryName,
  withDefaultTag,
} from '../reference/reference.ts'
import type { ImagePattern } from './image-pattern.ts'
import { type ImageTemplate, renderTemplate, type TemplateInput } from './image-template.ts'
import { canonicalReference } from './registry-aliases.ts'
import { createRowIndex, type RowIndex } from './row-index.ts'

/** A row of the table. The `fallback` section of the config documents its keys. */
export interface FallbackRow {
  readonly name: string
  readonly images: readonly ImagePattern[]
  /** The tag to try, by the tag of the image. */
  readonly tags: ReadonlyMap<string, string>
  readonly try: readonly ImageTemplate[]
  /** If no candidate is found: keep the image, take the first candidate without proof, or deny the pod. */
  readonly otherwise: 'keep' | 'first' | 'deny'
  /** Whether an alternate is taken by its tag, or only with the digest of the original. */
  readonly alternates: 'tag' | 'digest'
}

export interface FallbackTable {
  readonly rows: readonly FallbackRow[]
  /** Hosts of the operator's own registries (`mirror: true`). */
  readonly mirrors: ReadonlySet<string>
  readonly index: RowIndex
}

/** Returns the table with an index for its rows. */
export function createTable(
  rows: readonly FallbackRow[],
  mirrors: ReadonlySet<string>,
): FallbackTable {
  return { rows, mirrors, index: createRowIndex(rows.map(({ images }) => images)) }
}

/**
 * `original`: the image itself. `mirror`: the same content on a mirror or under another tag. `alternate`: another
 * publisher's copy, which the operator wrote in the row.
 */
export type CandidateKind = 'original' | 'mirror' | 'alternate'

export interface Candidate {
  /** The full image, with tag or digest. */
  readonly image: string
  /** Null if the template made an invalid image. */
  readonly reference: Reference | null
  /** Why the image is invalid; null if it is valid. */
  readonly error: string | null
  readonly kind: CandidateKind
}

export interface CandidateSelection {
  /** Null if no row matches. */
  readonly row: FallbackRow | null
  readonly candidates: readonly Candidate[]
}

/**
 * Returns the first row that matches, and its candidates. Only rows with the host of a mirror match images on that mirror,
 * so that Berth does not rewrite its own result.
 *
 * @example selectCandidates(table, nginx, 'default') // row docker-hub: anubis:32000/library/nginx:latest, docker.io/library/nginx:latest
 */
export function selectCandidates(
  table: FallbackTable,
  reference: Reference,
  namespace: string,
): CandidateSelection {
  // The first part of the image is not a valid host (`foo_bar.com/x`).
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

/** Returns the candidate that one template of a row makes. The reference of the input is canonical. */
export function createCandidate(
  table: FallbackTable,
  row: FallbackRow,
  template: ImageTemplate,
  input: TemplateInput,
): Candidate {
  const original = input.reference
  const { tag, digest } = withDefaultTag({ ...original, tag: mapTag(row, original) })
  const repository = renderTemplate(template, input)
  const parsed = parseReference(repository)
  if (!parsed.ok || parsed.reference.tag !== null) {
    const suffix = formatReference({ domain: '', path: '', tag, digest })
    const error = parsed.ok ? 'the template made a tag, not a repository' : parsed.message
    return { image: `${repository}${suffix}`, reference: null, error, kind: 'alternate' }
  }
  const reference: Reference = { ...parsed.reference, tag, digest }
  return {
    image: formatReference(reference),
    reference,
    error: null,
    kind: kindOf(table, reference, original),
  }
}

/** Runtimes ignore the tag of an image with a digest, so it is not mapped. */
function mapTag(row: FallbackRow, { tag, digest }: Reference): string | null {
  if (digest !== null) return tag
  return row.tags.get(tag ?? defaultTag) ?? tag
}

function kindOf(table: FallbackTable, candidate: Reference, original: Reference): CandidateKind {
  if (isSameImage(candidate, original)) return 'original'
  // Another tag of the same repository is content of the same publisher.
  const isSamePublisher =
    table.mirrors.has(candidate.domain) || repositoryName(candidate) === repositoryName(original)
  return isSamePublisher ? 'mirror' : 'alternate'
}
