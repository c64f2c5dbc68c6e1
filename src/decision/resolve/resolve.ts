/**
 * Resolves one image: from its reference to the image that the pod gets. Every image goes through the same five steps:
 *
 * 1. Plan: select the row and its candidates. An image without a row has one candidate, the image itself. Candidates of
 *    an image in the lock file get the locked digest (`resolve-policy.ts`, `fallback/table.ts`).
 * 2. Probe: ask the registries in the order of the candidates (`hedged-lookup.ts`, `probe-candidate.ts`).
 *    `--no-probe` leaves this step out.
 * 3. Choose: take the first candidate that was found, or what the row says if there is none (`resolve-policy.ts`).
 * 4. Pin: add the digest, if the image needs one (`resolve-policy.ts`).
 * 5. Record: the resolution with its steps (`resolution.ts`).
 *
 * If the chosen image is an image of another row, the steps start again with that image (`follow-rows.ts`).
 */
import { canonicalReference } from '../fallback/registry-aliases.ts'
import { isSameImage } from '../reference/parse.ts'
import { type Reference, withDefaultTag } from '../reference/reference.ts'
import { followRows, followRowsAsync } from './follow-rows.ts'
import { hedgedLookup } from './hedged-lookup.ts'
import {
  type KnownRegistries,
  outcomeWithoutProbe,
  probeCandidate,
  type ResolveDependencies,
} from './probe-candidate.ts'
import { isLeft, type Resolution } from './resolution.ts'
import {
  type CandidatePlan,
  chooseStep,
  isLocked,
  needsPin,
  noPin,
  pinDigest,
  planCandidates,
  type ResolvePolicy,
  type ResolveRequest,
} from './resolve-policy.ts'
import { type ResolutionStep, unasked } from './step.ts'

/** A request with a deadline for its probes. */
export interface TimedRequest extends ResolveRequest {
  readonly signal: AbortSignal
  /** The registry that is asked even if its cached answer is fresh. */
  readonly refreshHost?: string
}

/** Resolves one image. Every failure of a registry is a step; only bugs reject. */
export function resolve(
  dependencies: ResolveDependencies,
  policy: ResolvePolicy,
  request: TimedRequest,
): Promise<Resolution> {
  return followRowsAsync(policy, request, (each) => resolveOnce(dependencies, policy, each))
}

async function resolveOnce(
  dependencies: ResolveDependencies,
  policy: ResolvePolicy,
  request: TimedRequest,
): Promise<Resolution> {
  const plan = planCandidates(policy, request)
  const { reference: original, pod, refreshHost = null } = request
  const { isPlainHttp } = policy.table
  const namespace = pod.namespace ?? ''
  const podPlatforms = pod.platforms ?? []
  const context = {
    dependencies,
    plan,
    original,
    isPlainHttp,
    namespace,
    podPlatforms,
    refreshHost,
  }
  const steps = await hedgedLookup(plan.candidates, {
    signal: request.signal,
    now: dependencies.now,
    probe: (candidate, options) => probeCandidate(context, candidate, options),
  })
  return denyUnpinned(plan, conclude(request, { plan, steps }))
}

/** Why no registry is asked. */
export interface ProbeSubstitute {
  readonly outcome: 'skipped' | 'timeout'
  readonly detail: string
}

/** For images without a decision when the time of a review is over. */
export const outOfTime: ProbeSubstitute = { outcome: 'timeout', detail: 'no response in time' }

/**
 * Resolves one image by its row alone: each candidate that needs a probe gets the given outcome. For images beyond a limit.
 * Takes a few microseconds.
 */
export function resolveByRow(
  dependencies: KnownRegistries,
  policy: ResolvePolicy,
  { substitute, ...given }: ResolveRequest & { readonly substitute: ProbeSubstitute },
): Resolution {
  return followRows(policy, given, (request) =>
    resolveOnceByRow(dependencies, policy, request, substitute),
  )
}

function resolveOnceByRow(
  dependencies: KnownRegistries,
  policy: ResolvePolicy,
  request: ResolveRequest,
  substitute: ProbeSubstitute,
): Resolution {
  const plan = planCandidates(policy, request)
  const context = { dependencies, plan, original: request.reference }
  const last = plan.candidates.length - 1
  const steps = plan.candidates.map((candidate, index) => ({
    candidate,
    ...(outcomeWithoutProbe(context, candidate, index === last) ?? {
      ...unasked,
      ...substitute,
      freshUntil: 0,
    }),
    milliseconds: null,
  }))
  return denyUnpinned(plan, conclude(request, { plan, steps }))
}

function denyUnpinned({ pin }: CandidatePlan, resolution: Resolution): Resolution {
  return resolution.unpinned !== null && pin.unresolved === 'deny'
    ? { ...resolution, reason: 'pin-denies' }
    : resolution
}

/** Resolves one image as if its first candidate were found, for `--no-probe` and for the tests in a config. */
export function resolveWithoutProbing(policy: ResolvePolicy, request: ResolveRequest): Resolution {
  return followRows(policy, request, (each) => resolveOnceWithoutProbing(policy, each))
}

function resolveOnceWithoutProbing(policy: ResolvePolicy, request: ResolveRequest): Resolution {
  const plan = planCandidates(policy, request)
  const steps = plan.candidates.map((candidate) => ({
    candidate,
    ...unasked,
    detail: candidate.error,
    milliseconds: null,
  }))
  // Without probes only locked digests are known, so a missing pin says nothing.
  return { ...conclude(request, { plan, steps }), unpinned: null }
}

/** Returns the resolution of an image with the pull policy Never: it stays, and no registry is asked. */
export function resolveNeverPulled(reference: Reference): Resolution {
  const plan = { row: null, undecided: [], pin: noPin, candidates: [] }
  return { ...conclude({ reference }, { plan, steps: [] }), reason: 'never-pulled' }
}

/** Returns the resolution of an image of an updated pod that already runs the result of an earlier decision for this image. */
export function resolveKept(original: Reference, running: Reference): Resolution {
  const isOnSameHost = canonicalReference(original).domain === canonicalReference(running).domain
  return {
    ...resolveNeverPulled(original),
    chosen: running,
    kind: isOnSameHost ? 'original' : 'mirror',
    changed: true,
    pinned: original.digest === null && running.digest !== null,
    reason: 'kept',
  }
}

/** Steps 3 to 5. */
function conclude(
  { reference: original }: Pick<ResolveRequest, 'reference'>,
  { plan, steps }: { readonly plan: CandidatePlan; readonly steps: readonly ResolutionStep[] },
): Resolution {
  const { taken, reason } = chooseStep(plan, steps)
  const { reference, kind } = taken?.candidate ?? { reference: null, kind: 'original' as const }
  // The original keeps the host that the pod names, because the pod's pull secrets are for that host.
  const base = reference === null || kind === 'original' ? withDefaultTag(original) : reference
  const isPinNeeded = !isLeft({ reason }) && needsPin(plan.pin, original, { reference: base, kind })
  const digest = isPinNeeded ? pinDigest(plan.pin, taken) : null
  const chosen = digest === null ? base : { ...base, digest }
  return {
    original,
    row: plan.row?.name ?? null,
    undecidedRows: plan.undecided,
    // Without a row, the image itself is a step only if it was probed.
    steps: plan.row === null ? steps.filter(({ milliseconds }) => milliseconds !== null) : steps,
    chosen,
    kind,
    changed: digest !== null || (kind !== 'original' && !isSameImage(chosen, original)),
    pinned: digest !== null,
    mayFollowRevision: isPinNeeded && !isLocked(plan.pin, original),
    unpinned: isPinNeeded && digest === null ? whyUnpinned(taken) : null,
    reason,
    freshUntil: steps.reduce((first, step) => Math.min(first, step.freshUntil), Infinity),
  }
}

function whyUnpinned(taken: ResolutionStep | null): string {
  return taken?.detail ?? 'its registry was not probed'
}
