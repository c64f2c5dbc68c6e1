/** Records which registries did not say whether they have an image, so that the decision may differ when they do. */
import type { FailedOutcome } from '../decision/resolve/manifest-source.ts'
import type { Decision } from '../decision/resolve/decide-by-row.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import type { Resolution } from '../decision/resolve/resolution.ts'
import { compareText } from '../text/compare.ts'

export interface Unanswered {
  readonly decide: Decide
  /** The hosts of the registries, sorted, each with the last outcome. */
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
  'timeout',
  'skipped',
])

/** Returns the function that decides, and what it could not decide so far. */
export function createUnanswered(decide: Decide): Unanswered {
  const outcomes = new Map<string, string>()
  const record = (decision: Decision) => {
    if (decision.ok)
      for (const { host, outcome } of unansweredRegistries(decision.resolution))
        outcomes.set(host, outcome)
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

/** Returns the registries that come before the one that has the image. The original is only asked for a digest. */
function unansweredRegistries({ steps }: Resolution): UnansweredRegistry[] {
  const found = steps.findIndex(({ outcome }) => outcome === 'found')
  return steps
    .slice(0, found === -1 ? undefined : found)
    .flatMap(({ candidate: { reference }, outcome }) =>
      reference !== null && unanswered.has(outcome) ? [{ host: reference.domain, outcome }] : [],
    )
}
