/** What was decided for one image, and why: the values that every report is made from. */
import {
  type Candidate,
  type FallbackRow,
  selectCandidates,
  type FallbackTable,
} from '../fallback/table.ts'
import { isSameImage } from '../reference/parse.ts'
import {
  defaultTag,
  formatReference,
  type Reference,
  withDefaultTag,
} from '../reference/reference.ts'
import { type ResolutionStep, unasked } from './step.ts'

/** Why an image became what it is: a closed list, for metrics and annotations. */
export type ResolutionReason =
  /** No row matches. */
  | 'no-row'
  /** The candidate was asked for, and is there. */
  | 'found'
  /** The candidate is the original, reached after the ones before it failed. */
  | 'original'
  /** The candidate's registry is trusted unasked (`probe: false`), or nothing is asked (`--no-probe`). */
  | 'trusted'
  /** No registry answers; the candidate that one of them had a short while ago is taken. */
  | 'last-seen'
  /** No candidate was found; `otherwise: first` takes the first. */
  | 'first-unproved'
  /** No candidate was found; the image stays. */
  | 'none-found'
  /** No candidate was found, and the row says `otherwise: deny`. */
  | 'row-denies'
  /** No digest was to be had, and the configuration says `unresolved: deny`. */
  | 'pin-denies'

/** True when a rule of the configuration refuses the pod. */
export function isDenied({ reason }: Pick<Resolution, 'reason'>): boolean {
  return reason === 'row-denies' || reason === 'pin-denies'
}

export interface Resolution {
  readonly original: Reference
  readonly row: string | null
  readonly steps: readonly ResolutionStep[]
  readonly chosen: Reference
  readonly kind: Candidate['kind']
  /** False when the image may stay exactly as it is written. */
  readonly changed: boolean
  readonly pinned: boolean
  /** Set when the tag should have been pinned and no digest was to be had. */
  readonly unpinned: string | null
  readonly reason: ResolutionReason
  /** Until when deciding again would come to the same, by the monotonic clock in milliseconds. */
  readonly freshUntil: number
}

export interface ResolvePolicy {
  readonly table: FallbackTable
  readonly pin: {
    readonly matches: (tag: string) => boolean
    readonly unresolved: 'keep' | 'deny'
    /** The digest that a lock file has for an image; null where it has none. */
    readonly locked?: (reference: Reference) => string | null
  }
}

export interface ResolveRequest {
  readonly reference: Reference
  readonly namespace: string
}

/** The row and the candidates of an image; of a locked one each asks for the locked digest, and keeps its tag. */
export function selectFor(
  policy: ResolvePolicy,
  { reference, namespace }: ResolveRequest,
): { readonly row: FallbackRow | null; readonly candidates: readonly Candidate[] } {
  const { row, candidates } = selectCandidates(policy.table, reference, namespace)
  return { row, candidates: candidates.map((each) => lockTo(policy, reference, each)) }
}

/** The candidate under the digest that the image is locked to, if it is. */
export function lockTo(policy: ResolvePolicy, asked: Reference, candidate: Candidate): Candidate {
  const digest = policy.pin.locked?.(asked) ?? null
  if (digest === null || candidate.reference === null) return candidate
  const reference = { ...candidate.reference, digest }
  return { ...candidate, reference, image: formatReference(reference) }
}

/** Pins what a lock file has, what the configuration's globs match by the tag asked for or the tag tried, and another publisher's copy always. */
export function needsPin(
  policy: ResolvePolicy,
  asked: Reference,
  tried: Reference,
  kind: Candidate['kind'],
): boolean {
  if (asked.digest !== null) return false
  return (
    kind === 'alternate' ||
    (policy.pin.locked?.(asked) ?? null) !== null ||
    policy.pin.matches(asked.tag ?? defaultTag) ||
    policy.pin.matches(tried.tag ?? defaultTag)
  )
}

/** What asking has come to. */
export interface Outcome {
  readonly row: string | null
  readonly steps: readonly ResolutionStep[]
  readonly taken: ResolutionStep | null
  readonly reason: ResolutionReason
}

/** Puts a decision into the values that everything else is made from. */
export function settle(
  policy: ResolvePolicy,
  { reference: original }: ResolveRequest,
  { row, steps, taken, reason }: Outcome,
): Resolution {
  const { reference, kind } = taken?.candidate ?? { reference: null, kind: 'original' as const }
  // The original stays on the host that the pod names, for which it may have a secret, whatever that host's other names are.
  const base = reference === null || kind === 'original' ? withDefaultTag(original) : reference
  const pin = pinFor(needsPin(policy, original, base, kind), taken)
  const chosen = pin.digest === null ? base : { ...base, digest: pin.digest }
  const moved = kind !== 'original' && !isSameImage(chosen, original)
  return {
    original,
    row,
    steps,
    chosen,
    kind,
    changed: pin.digest !== null || moved,
    pinned: pin.digest !== null,
    unpinned: pin.missing,
    reason: pin.missing !== null && policy.pin.unresolved === 'deny' ? 'pin-denies' : reason,
    freshUntil: Math.min(...steps.map((step) => step.freshUntil)),
  }
}

/** The digest to pin to, or why there is none though one is wanted. */
function pinFor(
  wanted: boolean,
  taken: ResolutionStep | null,
): { digest: string | null; missing: string | null } {
  if (!wanted) return { digest: null, missing: null }
  const digest = taken?.digest ?? lockedOf(taken)
  return {
    digest,
    missing: digest === null ? (taken?.detail ?? 'its registry was not asked') : null,
  }
}

/** What the candidate is locked to. That its registry does not answer proves nothing against it; that the digest is not there does. */
function lockedOf(taken: ResolutionStep | null): string | null {
  if (taken === null || taken.outcome === 'absent' || taken.outcome === 'invalid') return null
  return taken.candidate.reference?.digest ?? null
}

/** Decides as if the first candidate were found, asking nobody: what `--no-probe` shows. */
export function resolveWithoutProbing(policy: ResolvePolicy, request: ResolveRequest): Resolution {
  const { row, candidates } = selectFor(policy, request)
  const steps = candidates.map((candidate) => ({
    candidate,
    ...unasked,
    detail: candidate.error,
    milliseconds: null,
  }))
  const taken = steps.find(({ candidate }) => candidate.reference !== null) ?? null
  const locked = policy.pin.locked?.(request.reference) ?? null
  const original = {
    ...withDefaultTag(request.reference),
    digest: locked ?? request.reference.digest,
  }
  const base = taken?.candidate.reference ?? original
  return {
    original: request.reference,
    row: row?.name ?? null,
    steps,
    chosen: base,
    kind: taken?.candidate.kind ?? 'original',
    changed: locked !== null || (taken !== null && taken.candidate.kind !== 'original'),
    pinned: locked !== null,
    unpinned: null,
    reason: row === null ? 'no-row' : taken === null ? 'none-found' : reasonFor(taken),
    freshUntil: Infinity,
  }
}

/** Why a candidate that is taken was taken. */
export function reasonFor({ candidate, outcome }: ResolutionStep): ResolutionReason {
  if (candidate.kind === 'original') return 'original'
  return outcome === 'found' ? 'found' : 'trusted'
}
