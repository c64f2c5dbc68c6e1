/**
 * From candidates to one image: asks the registries, in the table's order, and says what came of each.
 * The list of steps made here is what the annotation, the warnings, the log, the metrics and `explain` are made from.
 */
import {
  defaultTag,
  formatReference,
  type Reference,
  withDefaultTag,
} from '../reference/reference.ts'
import { canonicalReference } from '../fallback/registry-aliases.ts'
import type { Candidate } from '../fallback/table.ts'
import type { QueryManifest } from './manifest-cache.ts'
import type { ManifestAnswer } from './manifest-source.ts'
import {
  lockTo,
  needsPin,
  type ResolvePolicy,
  reasonFor,
  type ResolveRequest,
  type Resolution,
  selectFor,
  settle,
} from './resolution.ts'
import { type ResolutionStep, findTakenStep, type StepOutcome, unasked } from './step.ts'
import { hedgedLookup } from './hedged-lookup.ts'

export interface ResolveDependencies {
  readonly queryManifest: QueryManifest
  readonly isListed: (host: string) => boolean
  readonly isProbed: (host: string) => boolean
  readonly now: () => number
}

/** The request, and when to stop asking. */
export interface TimedRequest extends ResolveRequest {
  readonly signal: AbortSignal
}

/** Decides one image. Never rejects but by a bug: every way in which a registry can fail is a step. */
export async function resolve(
  dependencies: ResolveDependencies,
  policy: ResolvePolicy,
  request: TimedRequest,
): Promise<Resolution> {
  const { row, candidates } = selectFor(policy, request)
  if (row === null) return resolveAlone(dependencies, policy, request)
  const steps = await hedgedLookup(candidates, {
    signal: request.signal,
    now: dependencies.now,
    tryOne: (candidate, isLast, signal) =>
      tryCandidate(
        { dependencies, policy, request, signal, isLast, digestsOnly: row.alternates === 'digest' },
        candidate,
      ),
  })
  const taken = findTakenStep(steps)
  if (taken !== undefined) {
    return settle(policy, request, { row: row.name, steps, taken, reason: reasonFor(taken) })
  }
  const lastSeen = steps.find(({ digest }) => digest !== null)
  if (lastSeen !== undefined) {
    return settle(policy, request, { row: row.name, steps, taken: lastSeen, reason: 'last-seen' })
  }
  const first = steps.find(
    ({ candidate }) => candidate.reference !== null && candidate.kind !== 'alternate',
  )
  if (row.otherwise === 'first' && first !== undefined) {
    return settle(policy, request, { row: row.name, steps, taken: first, reason: 'first-unproved' })
  }
  const reason = row.otherwise === 'deny' ? 'row-denies' : 'none-found'
  return settle(policy, request, { row: row.name, steps, taken: null, reason })
}

interface Context {
  readonly dependencies: ResolveDependencies
  readonly policy: ResolvePolicy
  readonly request: TimedRequest
  /** Aborts when the answer can no longer count. */
  readonly signal: AbortSignal
  readonly isLast: boolean
  readonly digestsOnly: boolean
}

async function tryCandidate(context: Context, candidate: Candidate): Promise<StepOutcome> {
  const { dependencies, policy, request, signal, isLast, digestsOnly } = context
  const { reference, kind } = candidate
  if (reference === null) return { ...unasked, outcome: 'invalid', detail: candidate.error }
  const wantsPin = needsPin(policy, request.reference, reference, kind)
  if (kind === 'original' && isLast && !wantsPin) return unasked
  if (!dependencies.isListed(reference.domain)) {
    const detail = `${reference.domain} is not listed under registries, so it is not asked`
    return { ...unasked, outcome: kind === 'original' ? 'unasked' : 'invalid', detail }
  }
  // Another publisher's copy is always pinned, so it is asked for even on a registry that is trusted unasked.
  if (kind !== 'alternate' && !dependencies.isProbed(reference.domain)) return unasked
  const answer = await askFor(dependencies, reference, signal)
  const mustCompare = kind === 'alternate' && digestsOnly && reference.digest === null
  return mustCompare && answer.outcome === 'found'
    ? compareWithOriginal(context, answer.digest, answer.freshUntil ?? 0)
    : triedFrom(answer, !mustCompare)
}

/** What a copy served last proves nothing of what its original serves, so where that counts it is left out. */
function triedFrom(answer: ManifestAnswer, mayBeStale: boolean): StepOutcome {
  const { outcome, freshUntil = 0 } = answer
  if (outcome === 'found') return { outcome, detail: null, digest: answer.digest, freshUntil }
  const digest = mayBeStale ? (answer.staleDigest ?? null) : null
  return { outcome, detail: answer.detail, digest, freshUntil }
}

/** `alternates: digest`: the copy must be what the original's own registry serves. */
async function compareWithOriginal(
  { dependencies, request, signal }: Context,
  digest: string,
  candidateFreshUntil: number,
): Promise<StepOutcome> {
  const original = withDefaultTag(canonicalReference(request.reference))
  const answer: ManifestAnswer = dependencies.isListed(original.domain)
    ? await askFor(dependencies, original, signal)
    : { outcome: 'invalid', detail: `${original.domain} is not listed`, freshUntil: Infinity }
  const freshUntil = Math.min(candidateFreshUntil, answer.freshUntil ?? 0)
  const absent = (detail: string): StepOutcome => ({
    outcome: 'absent',
    detail,
    digest: null,
    freshUntil,
  })
  if (answer.outcome !== 'found') {
    return absent(
      `serves ${short(digest)}, but the original's digest is not known: ${answer.detail}`,
    )
  }
  if (answer.digest === digest) return { outcome: 'found', detail: null, digest, freshUntil }
  return absent(`serves ${short(digest)}, and the original is ${short(answer.digest)}`)
}

function askFor(
  { queryManifest }: ResolveDependencies,
  reference: Reference,
  signal: AbortSignal,
): Promise<ManifestAnswer> {
  const { domain, path, tag, digest } = reference
  return queryManifest(
    { host: domain, repository: path, reference: digest ?? tag ?? defaultTag },
    signal,
  )
}

/** An image without a row can still be pinned, if the configuration knows its registry. */
async function resolveAlone(
  dependencies: ResolveDependencies,
  policy: ResolvePolicy,
  request: TimedRequest,
): Promise<Resolution> {
  const reference = withDefaultTag(canonicalReference(request.reference))
  const candidate = lockTo(policy, request.reference, {
    image: formatReference(reference),
    reference,
    error: null,
    kind: 'original',
  })
  const asks =
    needsPin(policy, request.reference, reference, 'original') &&
    dependencies.isListed(reference.domain)
  if (!asks) {
    const untouched: ResolutionStep = { candidate, ...unasked, milliseconds: null }
    return settle(policy, request, { row: null, steps: [], taken: untouched, reason: 'no-row' })
  }
  const steps = await hedgedLookup([candidate], {
    signal: request.signal,
    now: dependencies.now,
    tryOne: (one, isLast, signal) =>
      tryCandidate({ dependencies, policy, request, signal, isLast, digestsOnly: false }, one),
  })
  return settle(policy, request, { row: null, steps, taken: steps[0] ?? null, reason: 'no-row' })
}

function short(digest: string): string {
  // Twelve hexadecimal digits are what container tools show of a digest.
  return digest.slice(0, 'sha256:'.length + 12)
}
