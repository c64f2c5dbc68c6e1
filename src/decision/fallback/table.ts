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
import { createHostMap } from './host-map.ts'
import { namesSamePods, type PodCondition, testCondition } from './pod-condition.ts'
import { type PodContext, templateNamespace } from './pod-context.ts'
import { canonicalReference, type IsPlainHttp } from './registry-aliases.ts'
import { createTableIndex, type TableIndex } from './table-index.ts'

/** A row of the table. The `fallback` section of the config documents its keys. */
export interface FallbackRow {
  readonly name: string
  /** Which pods the row is for; null for every pod. */
  readonly when: PodCondition | null
  readonly images: readonly ImagePattern[]
  /** True if the images stay exactly as they are. The row then has no templates. */
  readonly leave: boolean
  /** The tag to try, by the tag of the image. */
  readonly tags: ReadonlyMap<string, string>
  readonly try: readonly ImageTemplate[]
  /** If no candidate is found: keep the image, take the first candidate without proof, or deny the pod. */
  readonly otherwise: 'keep' | 'first' | 'deny'
  /** Whether an alternate is taken by its tag, or only with the digest of the original. */
  readonly alternates: 'tag' | 'digest'
  /** The platforms that candidates must have; null: as the config says for their registries. */
  readonly platforms: readonly string[] | null
  /** Which of the images get a digest; null: as the config says for all rows. */
  readonly pin: RowPin | null
  /** True for a row of the list that comes with Berth (`known-conflicts.yaml`). Such a row leaves its images unchanged. */
  readonly isKnownConflict: boolean
}

/** The `pin` of a row. `off`: only alternates get a digest. A part that is null is as the config says for all rows. */
export type RowPin =
  | 'off'
  | {
      readonly matches: ((tag: string) => boolean) | null
      readonly unresolved: 'keep' | 'deny' | null
    }

export interface FallbackTable {
  readonly rows: readonly FallbackRow[]
  /** Hosts of the operator's own registries (`mirror: true`), in every spelling. */
  readonly mirrors: Pick<ReadonlyMap<string, unknown>, 'has' | 'keys'>
  /** The mirrors that Berth never pushes to (`copy: false`), in every spelling. */
  readonly neverPushed: Pick<ReadonlyMap<string, unknown>, 'has'>
  /** Hosts without a port that nodes reach over plain HTTP. */
  readonly isPlainHttp: IsPlainHttp
  readonly index: TableIndex
  /** The rows with a pattern such as `**`, up to the first one for every pod. Later ones have no effect. */
  readonly catchAllRows: readonly FallbackRow[]
  /** Rows for operators that compare images. They come before `rows`, which do not include them. */
  readonly conflicts: IndexedRows
}

export interface IndexedRows {
  readonly rows: readonly FallbackRow[]
  readonly index: TableIndex
}

export interface TableOptions {
  readonly conflicts?: readonly FallbackRow[]
  readonly isPlainHttp?: IsPlainHttp
  /** Hosts of mirrors. */
  readonly neverPushed?: Iterable<string>
}

/** Returns the table with an index for its rows. */
export function createTable(
  rows: readonly FallbackRow[],
  mirrorHosts: Iterable<string>,
  { conflicts = [], isPlainHttp = () => false, neverPushed = [] }: TableOptions = {},
): FallbackTable {
  return {
    ...indexRows(rows),
    mirrors: hostSet(mirrorHosts, isPlainHttp),
    neverPushed: hostSet(neverPushed, isPlainHttp),
    isPlainHttp,
    catchAllRows: selectCatchAllRows(rows),
    conflicts: indexRows(conflicts),
  }
}

function hostSet(hosts: Iterable<string>, isPlainHttp: IsPlainHttp): FallbackTable['mirrors'] {
  const set = createHostMap<true>(isPlainHttp)
  for (const host of hosts) set.set(host, true)
  return set
}

function indexRows(rows: readonly FallbackRow[]): IndexedRows {
  const indexed = rows.map(({ images, leave, when }, position) => ({
    position,
    images,
    leave,
    when,
  }))
  return { rows, index: createTableIndex(indexed) }
}

function selectCatchAllRows(rows: readonly FallbackRow[]): readonly FallbackRow[] {
  const catchAllRows = rows.filter(({ images }) => images.some(({ matchesAll }) => matchesAll))
  const last = catchAllRows.findIndex(({ when }) => when === null)
  return last < 0 ? catchAllRows : catchAllRows.slice(0, last + 1)
}

/**
 * Leaves the images of a pod unchanged whose owner is in conflict with Berth (`conflicts: leave`). It is part of every table,
 * for the pods whose context says so.
 */
export const detectedConflictRow: FallbackRow = {
  name: 'detected:image-conflict',
  when: null,
  images: [],
  leave: true,
  tags: new Map(),
  try: [],
  otherwise: 'keep',
  alternates: 'tag',
  platforms: null,
  pin: null,
  isKnownConflict: false,
}

/** Returns a text that is the same for pods for which the same conditions of rows hold. */
export function tablePodKey({ index, conflicts }: FallbackTable, pod: PodContext): string {
  return `${index.podKey(pod)} ${conflicts.index.podKey(pod)} ${pod.isInConflict === true}`
}

/** Returns true if a row may apply to a pod that comes before the rows of the config. */
export function mayConflict({ conflicts }: FallbackTable, pod: PodContext): boolean {
  return pod.isInConflict === true || conflicts.index.holdsFor(pod)
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

export interface RowSelection {
  /** Null if no row matches. */
  readonly row: FallbackRow | null
  /** Earlier rows that match if what is not known of the pod meets their condition. */
  readonly undecided: readonly FallbackRow[]
}

const noRow: RowSelection = { row: null, undecided: [] }

/**
 * Returns the first row that matches an image of a pod. Only rows with the host of a mirror match images on that mirror,
 * so that Berth does not rewrite its own result; a row that leaves its images unchanged matches them all.
 *
 * A row of a known conflict comes first, unless the row that would be selected without it takes precedence. Its condition
 * must be known to hold, so that no command reports rows that are not in the config. The row of a detected conflict gives
 * way only to a row that denies pods, or that leaves its images unchanged.
 */
export function selectRow(
  table: FallbackTable,
  reference: Reference,
  pod: PodContext,
): RowSelection {
  if (reference.domain === '') return selectCatchAllRow(table, pod)
  const { rows, mirrors, index, conflicts, isPlainHttp } = table
  const canonical = canonicalReference(reference, isPlainHttp)
  const isOnMirror = mirrors.has(canonical.domain)
  const { position, undecided } = index.find(canonical, isOnMirror, pod)
  const row = rows[position] ?? null
  const conflict = conflicts.index.holdsFor(pod)
    ? conflicts.rows[conflicts.index.find(canonical, isOnMirror, pod).position]
    : undefined
  if (conflict !== undefined && !takesPrecedence(row, conflict))
    return { row: conflict, undecided: [] }
  if (pod.isInConflict === true && !(row !== null && isStrictOrLeaves(row)))
    return { row: detectedConflictRow, undecided: [] }
  if (row === null && undecided.length === 0) return noRow
  return { row, undecided: undecided.flatMap((each) => rows[each] ?? []) }
}

/**
 * Returns true if a row of the config decides in place of a known conflict: it names the same pods, or it denies pods.
 * Anyone who creates a pod can add owner references, and so must not avoid a row that denies.
 */
function takesPrecedence(row: FallbackRow | null, conflict: FallbackRow): boolean {
  return row !== null && (isStrictOrLeaves(row) || namesSamePods(row.when, conflict.when))
}

function isStrictOrLeaves({ leave, otherwise, pin }: FallbackRow): boolean {
  const isStrict = pin !== null && pin !== 'off' && pin.unresolved === 'deny'
  return leave || otherwise === 'deny' || isStrict
}

/**
 * Returns the row for what is not a valid reference, or has a first part that is not a host (`foo_bar.com/x`): the first row
 * that matches every image, if it denies, leaves or pins its images. A container runtime may pull such an image, and a row
 * that closes the table must not let it pass.
 */
export function selectCatchAllRow({ catchAllRows }: FallbackTable, pod: PodContext): RowSelection {
  const undecided: FallbackRow[] = []
  for (const row of catchAllRows) {
    const result = testCondition(row.when, pod)
    if (result === 'unknown') undecided.push(row)
    if (result !== 'holds') continue
    const isForSuchImages = row.otherwise === 'deny' || row.leave || row.pin !== null
    return { row: isForSuchImages ? row : null, undecided }
  }
  return { row: null, undecided }
}

export interface CandidateSelection extends RowSelection {
  /** Empty if no row matches, or if the row leaves the image unchanged. */
  readonly candidates: readonly Candidate[]
}

/**
 * Returns the first row that matches an image of a pod, and its candidates in order. An image without a valid host has none.
 *
 * @example selectCandidates(table, nginx, pod) // row docker-hub: anubis:32000/library/nginx:latest, docker.io/library/nginx:latest
 */
export function selectCandidates(
  table: FallbackTable,
  reference: Reference,
  pod: PodContext,
): CandidateSelection {
  const selection = selectRow(table, reference, pod)
  const { row } = selection
  return {
    ...selection,
    candidates: row === null ? [] : candidatesOf(table, row, reference, pod),
  }
}

/** Returns the distinct candidates of one row, in order. */
export function candidatesOf(
  table: FallbackTable,
  row: FallbackRow,
  reference: Reference,
  pod: PodContext,
): readonly Candidate[] {
  // Without a valid host (`foo_bar.com/x`), no template can name the original.
  if (reference.domain === '') return []
  const input = {
    reference: canonicalReference(reference, table.isPlainHttp),
    namespace: templateNamespace(pod),
  }
  const candidates = new Map<string, Candidate>()
  for (const template of row.try) {
    const candidate = createCandidate(table, row, template, input)
    if (!candidates.has(candidate.image)) candidates.set(candidate.image, candidate)
  }
  return [...candidates.values()]
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
  const hasNoRest = template.variables.has('rest') && !original.path.includes('/')
  if (!parsed.ok || parsed.reference.tag !== null || hasNoRest) {
    const suffix = formatReference({ domain: '', path: '', tag, digest })
    const message = parsed.ok ? 'the template made a tag, not a repository' : parsed.message
    const error = hasNoRest ? 'the path has one segment, so {rest} is empty' : message
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
  if (isSameImage(canonicalReference(candidate, table.isPlainHttp), original)) return 'original'
  // Another tag of the same repository is content of the same publisher.
  const isSamePublisher =
    table.mirrors.has(candidate.domain) || repositoryName(candidate) === repositoryName(original)
  return isSamePublisher ? 'mirror' : 'alternate'
}
