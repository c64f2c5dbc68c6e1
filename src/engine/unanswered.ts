/** Records which registries did not say whether they have an image, so that the decision may differ when they do. */
import type { FailedOutcome } from '../decision/resolve/manifest-source.ts'
import type { Decision } from '../decision/resolve/decide-by-row.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import type { Resolution } from '../decision/resolve/resolution.ts'
import type { ResolutionStep } from '../decision/resolve/step.ts'
import type { Reference } from '../decision/reference/reference.ts'
import { compareText } from '../text/compare.ts'

export interface Unanswered {
  readonly decide: Decide
  /** The hosts of the registries, sorted, each with its first outcome: later ones may be `skipped` because of it. */
  registries(): readonly UnansweredRegistry[]
}

export interface UnansweredRegistry {
  readonly host: string
  readonly outcome: string
}

/** `denied` too: the webhook may have credentials that this machine lacks. */
const unanswered: ReadonlySet<string> = new Set<FailedOutcome>([
  'denied',
  'limited',
  'unreachable',
  'invalid',
  'timeout',
  'skipped',
])

/** Returns the function that decides, and what it could not decide so far. */
export function createUnanswered(decide: Decide): Unanswered {
  const outcomes = new Map<string, string>()
  const record = (decision: Decision) => {
    if (decision.ok)
      for (const { host, outcome } of unansweredRegistries(decision.resolution))
        if (!outcomes.has(host)) outcomes.set(host, outcome)
    return decision
  }
  return {
    decide: async (image, request) => record(await decide(image, request)),
    registries: () =>
      [...outcomes]
        .map(([host, outcome]) => ({ host, outcome }))
        .toSorted((one, other) => compareText(one.host, other.host)),
  }
}

/** Returns the registries that come before the one that has the image, and whose answer could change the decision. */
function unansweredRegistries({ original, steps, unpinned }: Resolution): UnansweredRegistry[] {
  const found = steps.findIndex(({ outcome }) => outcome === 'found')
  const failed = steps.slice(0, found === -1 ? undefined : found)
  // The original stays as it is, unless it needs a digest.
  const relevant = failed.filter(
    ({ candidate: { kind } }) => kind !== 'original' || unpinned !== null,
  )
  return relevant
    .flatMap((step) => askedRegistries(original, step))
    .filter(({ outcome }) => unanswered.has(outcome))
}

/** Returns the registries that were asked for the step: that of the candidate, and that of the original it must equal. */
function askedRegistries(
  original: Reference,
  { candidate: { reference }, outcome, freshUntil, originalOutcome }: ResolutionStep,
): UnansweredRegistry[] {
  const isAsked = reference !== null && freshUntil !== Infinity
  return [
    ...(isAsked ? [{ host: reference.domain, outcome }] : []),
    ...(originalOutcome === undefined ? [] : [{ host: original.domain, outcome: originalOutcome }]),
  ]
}
