/**
 * What the config lets an image become: its candidates, which of them need a digest, and which one is taken.
 * Pure. `probe-candidate.ts` asks the registries.
 */
import {
  type Candidate,
  type FallbackRow,
  type FallbackTable,
  selectCandidates,
} from '../fallback/table.ts'
import { canonicalReference } from '../fallback/registry-aliases.ts'
import {
  defaultTag,
  formatReference,
  type Reference,
  withDefaultTag,
} from '../reference/reference.ts'
import type { ResolutionReason } from './resolution.ts'
import type { ResolutionStep } from './step.ts'

export interface ResolvePolicy {
  readonly table: FallbackTable
  readonly pin: {
    /** Whether images with this tag are pinned. */
    readonly matches: (tag: string) => boolean
    readonly unresolved: 'keep' | 'deny'
    /** The digest that the lock file has for an image; null if it has none. */
    readonly locked?: (reference: Reference) => string | null
  }
}

export interface ResolveRequest {
  readonly reference: Reference
  /** The pod's namespace, for templates. */
  readonly namespace: string
}

/** The candidates of one image, and what its row says about them. */
export interface CandidatePlan {
  /** The name of the row; null if no row matches. */
  readonly row: string | null
  readonly otherwise: FallbackRow['otherwise']
  readonly alternates: FallbackRow['alternates']
  readonly candidates: readonly Candidate[]
}

/**
 * Returns the candidates of an image. An image without a row has one candidate, the image itself. Every candidate of an
 * image in the lock file has the locked digest.
 */
export function planCandidates(policy: ResolvePolicy, request: ResolveRequest): CandidatePlan {
  const { reference, namespace } = request
  const { row, candidates } = selectCandidates(policy.table, reference, namespace)
  const digest = policy.pin.locked?.(reference) ?? null
  return {
    row: row?.name ?? null,
    otherwise: row?.otherwise ?? 'keep',
    alternates: row?.alternates ?? 'tag',
    candidates: (row === null ? [originalCandidate(reference)] : candidates).map((candidate) =>
      digest === null ? candidate : withLockedDigest(candidate, digest),
    ),
  }
}

function originalCandidate(original: Reference): Candidate {
  const reference = withDefaultTag(canonicalReference(original))
  return { image: formatReference(reference), reference, error: null, kind: 'original' }
}

function withLockedDigest(candidate: Candidate, digest: string): Candidate {
  if (candidate.reference === null) return candidate
  const reference = { ...candidate.reference, digest }
  return { ...candidate, reference, image: formatReference(reference) }
}

/**
 * Returns true if the image needs a digest: every alternate does, every image in the lock file, and every image whose
 * original or mapped tag matches `pin.tags`. An image that already has a digest does not.
 */
export function needsPin(
  { pin }: ResolvePolicy,
  original: Reference,
  candidate: { readonly reference: Reference; readonly kind: Candidate['kind'] },
): boolean {
  if (original.digest !== null) return false
  return (
    candidate.kind === 'alternate' ||
    (pin.locked?.(original) ?? null) !== null ||
    pin.matches(original.tag ?? defaultTag) ||
    pin.matches(candidate.reference.tag ?? defaultTag)
  )
}

/** The step whose candidate the image becomes (null: it stays as it is), and why. */
export interface CandidateChoice {
  readonly taken: ResolutionStep | null
  readonly reason: ResolutionReason
}

/** Chooses the candidate that is taken: found, else seen lately, else what the row says for `otherwise`. */
export function chooseStep(
  { row, otherwise }: CandidatePlan,
  steps: readonly ResolutionStep[],
): CandidateChoice {
  const taken = findTakenStep(steps)
  if (taken !== undefined) return { taken, reason: row === null ? 'no-row' : reasonFor(taken) }
  const lastSeen = steps.find(({ digest }) => digest !== null)
  if (lastSeen !== undefined) return { taken: lastSeen, reason: 'last-seen' }
  const first = steps.find(
    ({ candidate: { reference, kind } }) => reference !== null && kind !== 'alternate',
  )
  if (otherwise === 'first' && first !== undefined)
    return { taken: first, reason: 'first-unproved' }
  return { taken: null, reason: otherwise === 'deny' ? 'row-denies' : 'none-found' }
}

/**
 * Returns the first step that was found or that needs no probe. The original needs no probe as the last candidate:
 * nothing comes after it. Before other candidates it must be found, or they would never be reached (docs/adr/0002).
 */
export function findTakenStep(steps: readonly ResolutionStep[]): ResolutionStep | undefined {
  return steps.find(({ candidate, outcome }, index) => {
    if (candidate.reference === null) return false
    if (outcome === 'found' || outcome === 'unasked') return true
    return candidate.kind === 'original' && index === steps.length - 1
  })
}

function reasonFor({ candidate, outcome }: ResolutionStep): ResolutionReason {
  if (candidate.kind === 'original') return 'original'
  return outcome === 'found' ? 'found' : 'trusted'
}

/**
 * Returns the digest for the pin of the taken candidate: what its registry serves, or the locked digest if the registry
 * does not answer. Null if the registry says that it does not have the locked digest, or if no digest is known.
 */
export function pinDigest(taken: ResolutionStep | null): string | null {
  if (taken === null) return null
  if (taken.digest !== null) return taken.digest
  const isRefuted = taken.outcome === 'absent' || taken.outcome === 'invalid'
  return isRefuted ? null : (taken.candidate.reference?.digest ?? null)
}
