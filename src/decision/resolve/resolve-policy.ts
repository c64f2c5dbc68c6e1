/**
 * What the config lets an image become: its candidates, which of them need a digest, and which one is taken.
 * Pure. `probe-candidate.ts` asks the registries.
 */
import { conditionHolds, type PodCondition } from '../fallback/pod-condition.ts'
import type { PodContext } from '../fallback/pod-context.ts'
import {
  type Candidate,
  candidatesOf,
  detectedConflictRow,
  type FallbackRow,
  type FallbackTable,
  selectRow,
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
  readonly pin: PinPolicy
}

/** Returns true if a row or the pin denies pods. */
export function hasDenial({ table, pin }: ResolvePolicy): boolean {
  return (
    pin.unresolved === 'deny' ||
    table.rows.some(
      ({ otherwise, pin: own }) =>
        otherwise === 'deny' || (own !== null && own !== 'off' && own.unresolved === 'deny'),
    )
  )
}

/** Which images get a digest. */
export interface Pin {
  /** Whether images with this tag are pinned. */
  readonly matches: (tag: string) => boolean
  readonly unresolved: 'keep' | 'deny'
  /** The digest that the lock file has for an image; null if it has none. */
  readonly locked?: (reference: Reference) => string | null
  /** True if the locked digest is used only if a registry serves it. */
  readonly mustBeServed?: boolean
}

/** The pin of the config, which a row can replace. */
export interface PinPolicy extends Pin {
  /** Which pods it is for; null for every pod. */
  readonly when?: PodCondition | null
  /** True if it is for every image of every pod, whatever the rows and `when` say. */
  readonly overridesRows?: boolean
}

export interface ResolveRequest {
  readonly reference: Reference
  readonly pod: PodContext
  /** The digest that other pods claim to run. It is used if a candidate serves it, and the lock file has no other. */
  readonly claimedDigest?: string
}

/** The candidates of one image, and what its row says about them. */
export interface CandidatePlan {
  /** Null if no row matches. */
  readonly row: FallbackRow | null
  /** The names of earlier rows that may match, if what is not known of the pod meets their condition. */
  readonly undecided: readonly string[]
  readonly pin: Pin
  /** Empty if the row leaves the image unchanged. */
  readonly candidates: readonly Candidate[]
}

/**
 * Returns the candidates of an image. An image without a row has one candidate, the image itself. Every candidate of an
 * image in the lock file has the locked digest.
 */
export function planCandidates(policy: ResolvePolicy, request: ResolveRequest): CandidatePlan {
  const { reference, pod } = request
  const { row, undecided } = selectRow(policy.table, reference, pod)
  const pin = withClaim(pinFor(policy, row, pod), request)
  const digest = pin.locked?.(reference) ?? null
  const candidates =
    row === null
      ? [originalCandidate(policy, reference)]
      : candidatesOf(policy.table, row, reference, pod)
  return {
    row,
    undecided: undecided.map(({ name }) => name),
    pin,
    candidates: candidates.map((candidate) =>
      digest === null ? candidate : withLockedDigest(candidate, digest),
    ),
  }
}

function withClaim(pin: Pin, { reference, claimedDigest }: ResolveRequest): Pin {
  if (claimedDigest === undefined || isLocked(pin, reference)) return pin
  return { ...pin, locked: () => claimedDigest, mustBeServed: true }
}

/** Returns true if the lock file has a digest for the image. */
export function isLocked(pin: Pin, reference: Reference): boolean {
  return (pin.locked?.(reference) ?? null) !== null
}

/**
 * Returns the context of a pod whose owner is in conflict. It stays as it is if a pin of the config denies pods: an owner must
 * not avoid that pin by recreating its pods.
 */
export function inConflict(
  { pin: { unresolved, when = null } }: Pick<ResolvePolicy, 'pin'>,
  pod: PodContext,
): PodContext {
  const mustPin = unresolved === 'deny' && conditionHolds(when, pod)
  return mustPin ? pod : { ...pod, isInConflict: true }
}

export const noPin: Pin = { matches: () => false, unresolved: 'keep' }

/** Returns the pin for the images of a row: its own, or that of the config. */
export function pinFor({ pin }: ResolvePolicy, row: FallbackRow | null, pod: PodContext): Pin {
  if (pin.overridesRows === true) return pin
  const own = row?.pin ?? null
  if (own === 'off') return noPin
  const inherited = conditionHolds(pin.when ?? null, pod) ? pin : noPin
  if (own === null) return inherited
  return {
    ...inherited,
    matches: own.matches ?? inherited.matches,
    unresolved: own.unresolved ?? inherited.unresolved,
  }
}

function originalCandidate({ table }: ResolvePolicy, original: Reference): Candidate {
  const reference = withDefaultTag(canonicalReference(original, table.isPlainHttp))
  return { image: formatReference(reference), reference, error: null, kind: 'original' }
}

function withLockedDigest(candidate: Candidate, digest: string): Candidate {
  if (candidate.reference === null) return candidate
  const reference = { ...candidate.reference, digest }
  return { ...candidate, reference, image: formatReference(reference) }
}

/**
 * Returns true if the image needs a digest: every alternate does, every image in the lock file, and every image whose
 * original or mapped tag matches the pin. An image that already has a digest does not.
 */
export function needsPin(
  pin: Pin,
  original: Reference,
  candidate: { readonly reference: Reference; readonly kind: Candidate['kind'] },
): boolean {
  if (original.digest !== null) return false
  return (
    candidate.kind === 'alternate' ||
    isLocked(pin, original) ||
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
  { row }: CandidatePlan,
  steps: readonly ResolutionStep[],
): CandidateChoice {
  if (row?.leave === true) return { taken: null, reason: leaveReason(row) }
  const otherwise = row?.otherwise ?? 'keep'
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

function leaveReason(row: FallbackRow): ResolutionReason {
  if (row === detectedConflictRow) return 'detected-conflict'
  return row.isKnownConflict ? 'known-conflict' : 'left'
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
export function pinDigest(pin: Pin, taken: ResolutionStep | null): string | null {
  if (taken === null) return null
  if (taken.digest !== null || pin.mustBeServed === true) return taken.digest
  const isRefuted = taken.outcome === 'absent' || taken.outcome === 'invalid'
  return isRefuted ? null : (taken.candidate.reference?.digest ?? null)
}
