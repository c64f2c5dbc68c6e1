/** Probes one candidate: asks its registry whether the image exists, unless the candidate needs no probe. */
import type { Candidate } from '../fallback/table.ts'
import {
  canonicalHost,
  canonicalReference,
  type IsPlainHttp,
} from '../fallback/registry-aliases.ts'
import { isPlatform } from '../platforms/platform.ts'
import { type Reference, withDefaultTag } from '../reference/reference.ts'
import { askByDigest } from './ask-by-digest.ts'
import type { QueryManifest } from './manifest-cache.ts'
import type { CheckPlatforms } from './platform-lookup.ts'
import type { ManifestAnswer } from './manifest-source.ts'
import type { RegistryLiveness } from './registry-liveness.ts'
import { type CandidatePlan, needsPin } from './resolve-policy.ts'
import { type StepOutcome, unasked } from './step.ts'

export interface ResolveDependencies {
  readonly queryManifest: QueryManifest
  /** Without it, every registry counts as live. */
  readonly liveness?: Pick<RegistryLiveness, 'isLive' | 'isLookDue'>
  /** Whether the config lists this host. Berth does not contact any other. */
  readonly isListed: (host: string) => boolean
  /** False for a registry with `probe: false`. */
  readonly isProbed: (host: string) => boolean
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Without it, every image has every platform. */
  readonly platforms?: PlatformDependencies
}

export interface PlatformDependencies {
  readonly check: CheckPlatforms
  /** Returns the platforms that the config requires of the images on a host. */
  readonly wantedOf: (host: string) => readonly string[]
}

/** What the config says about the registries of candidates. */
export type KnownRegistries = Pick<ResolveDependencies, 'isListed' | 'isProbed'>

interface RowContext {
  readonly dependencies: KnownRegistries
  readonly plan: CandidatePlan
  readonly original: Reference
}

export interface ProbeContext extends RowContext {
  readonly dependencies: ResolveDependencies
  /** The namespace of the pod. */
  readonly namespace: string
  /** The platforms that the pod requires. */
  readonly podPlatforms: readonly string[]
  readonly isPlainHttp: IsPlainHttp
  /** The registry that is asked even if its cached answer is fresh; null for none. */
  readonly refreshHost: string | null
}

export interface ProbeOptions {
  /** No candidate comes after this one. */
  readonly isLast: boolean
  /** Aborts when the outcome can no longer matter. */
  readonly signal: AbortSignal
}

const notListed = 'the registry is not listed under registries'

/** Returns the outcome for one candidate. Every failure of a registry is an outcome; only bugs reject. */
export async function probeCandidate(
  context: ProbeContext,
  candidate: Candidate,
  { isLast, signal }: ProbeOptions,
): Promise<StepOutcome> {
  const known = outcomeWithoutProbe(context, candidate, isLast)
  if (known !== null) return known
  const { plan } = context
  const { kind } = candidate
  // Only a candidate without a reference is invalid, and that is known without a probe.
  const reference = candidate.reference as Reference
  const answer = await query(context, reference, signal)
  const mustEqualOriginal =
    kind === 'alternate' && plan.row?.alternates === 'digest' && reference.digest === null
  if (mustEqualOriginal && answer.outcome !== 'found') return { ...outcomeOf(answer), digest: null }
  const outcome =
    mustEqualOriginal && answer.outcome === 'found'
      ? await compareWithOriginal(context, answer, signal)
      : outcomeOf(answer)
  // No other candidate could take the place of the last one, if that is the original.
  const isOnlyChoice = kind === 'original' && isLast
  return isOnlyChoice ? outcome : checkPlatforms(context, reference, outcome, signal)
}

/** Short, because the registry may answer the next time. */
const unknownPlatformsMs = 5_000

/** A candidate that lacks a platform counts as absent. If the pod requires platforms, those of the config do not matter. */
async function checkPlatforms(
  { dependencies, plan, podPlatforms, isPlainHttp, namespace }: ProbeContext,
  { domain, path }: Reference,
  outcome: StepOutcome,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { platforms } = dependencies
  const { digest } = outcome
  if (platforms === undefined || outcome.outcome !== 'found' || digest === null) return outcome
  const host = canonicalHost(domain, isPlainHttp)
  const configured = plan.row?.platforms ?? platforms.wantedOf(host)
  const wanted = podPlatforms.length > 0 ? podPlatforms : configured
  if (wanted.length === 0) return outcome
  const query = { host, repository: path, reference: digest, namespace }
  const checked = await platforms.check(query, wanted, signal)
  // What is not known is not missing: the registry has the image.
  if (checked === null) {
    const freshUntil = Math.min(outcome.freshUntil, dependencies.now() + unknownPlatformsMs)
    return { ...outcome, detail: 'its platforms are not known', freshUntil }
  }
  const { missing, available } = checked
  const freshUntil = Math.min(outcome.freshUntil, checked.freshUntil)
  if (missing.length === 0)
    return { ...outcome, detail: `has ${listPlatforms(available)}`, freshUntil }
  const detail = `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not in it`
  return { outcome: 'absent', detail, digest: null, freshUntil }
}

/** Platforms that explanations show. Images with more exist. */
const maxShownPlatforms = 8

/** A registry sends the names, so only those of a usual form are shown. */
function listPlatforms(platforms: readonly string[]): string {
  const valid = platforms.filter(isPlatform)
  const shown = valid.slice(0, maxShownPlatforms).join(', ')
  return valid.length > maxShownPlatforms ? `${shown}, …` : shown
}

/** Returns the outcome of a candidate that needs no probe; null if its registry must be asked. */
export function outcomeWithoutProbe(
  { dependencies, plan, original }: RowContext,
  { reference, kind, error }: Candidate,
  isLast: boolean,
): StepOutcome | null {
  if (reference === null) return { ...unasked, outcome: 'invalid', detail: error }
  const isOriginal = kind === 'original'
  if (isOriginal && isLast && !needsPin(plan.pin, original, { reference, kind })) return unasked
  if (!dependencies.isListed(reference.domain))
    return { ...unasked, outcome: isOriginal ? 'unasked' : 'invalid', detail: notListed }
  // An alternate always needs a digest, so it is probed even with `probe: false`.
  return kind !== 'alternate' && !dependencies.isProbed(reference.domain) ? unasked : null
}

function outcomeOf(answer: ManifestAnswer): StepOutcome {
  const { outcome, freshUntil = 0 } = answer
  return outcome === 'found'
    ? { outcome, detail: null, digest: answer.digest, freshUntil }
    : { outcome, detail: answer.detail, digest: answer.staleDigest ?? null, freshUntil }
}

/** `alternates: digest`: a copy with another digest than the original counts as absent. */
async function compareWithOriginal(
  context: ProbeContext,
  copy: ManifestAnswer & { readonly outcome: 'found' },
  signal: AbortSignal,
): Promise<StepOutcome> {
  const reference = withDefaultTag(canonicalReference(context.original, context.isPlainHttp))
  const isAsked = context.dependencies.isListed(reference.domain)
  const answer: ManifestAnswer = isAsked
    ? await query(context, reference, signal)
    : { outcome: 'invalid', detail: notListed, freshUntil: Infinity }
  const freshUntil = Math.min(copy.freshUntil ?? 0, answer.freshUntil ?? 0)
  if (answer.outcome === 'found' && answer.digest === copy.digest)
    return { outcome: 'found', detail: null, digest: copy.digest, freshUntil }
  const difference =
    answer.outcome === 'found'
      ? `the original is ${shortDigest(answer.digest)}`
      : `the digest of the original is not known: ${answer.detail}`
  const detail = `serves ${shortDigest(copy.digest)}, but ${difference}`
  const step: StepOutcome = { outcome: 'absent', detail, digest: null, freshUntil }
  return isAsked && answer.outcome !== 'found' ? { ...step, originalOutcome: answer.outcome } : step
}

function query(
  { dependencies, isPlainHttp, namespace, refreshHost }: ProbeContext,
  image: Reference,
  signal: AbortSignal,
): Promise<ManifestAnswer> {
  // One spelling, so that a registry has one circuit and an image one entry in the cache.
  const host = canonicalHost(image.domain, isPlainHttp)
  const isRefresh = host === refreshHost
  return askByDigest(image, (reference) =>
    dependencies.queryManifest(
      { host, repository: image.path, reference, namespace, isRefresh },
      signal,
    ),
  )
}

/** Twelve hexadecimal digits, as container tools show a digest. */
function shortDigest(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12)
}
