import type { Candidate } from '../fallback/table.ts'
import type { FailedOutcome } from './manifest-source.ts'

/** One candidate and what came of it. */
export interface ResolutionStep {
  readonly candidate: Candidate
  /** `unasked`: not reached, or taken without a question. */
  readonly outcome: 'found' | FailedOutcome | 'unasked'
  readonly detail: string | null
  /** How long the answer took; null when nothing was asked. */
  readonly milliseconds: number | null
  /** What the registry serves; beside a failure, what it served last. */
  readonly digest: string | null
  /** Until when asking again would give the same, by the monotonic clock in milliseconds; Infinity where nothing was asked. */
  readonly freshUntil: number
}

/** What asking for one candidate gives. */
export type StepOutcome = Omit<ResolutionStep, 'candidate' | 'milliseconds'>

/** A candidate that nobody was asked about. */
export const unasked: StepOutcome = {
  outcome: 'unasked',
  detail: null,
  digest: null,
  freshUntil: Infinity,
}

/**
 * The step that decides: the first that was found, or is trusted unasked. The original needs no proof when nothing comes
 * after it; before other candidates it is asked for like them, because otherwise they would never be reached.
 */
export function findTakenStep(steps: readonly ResolutionStep[]): ResolutionStep | undefined {
  return steps.find(({ candidate, outcome }, index) => {
    if (outcome === 'found' || outcome === 'unasked') return true
    return candidate.kind === 'original' && index === steps.length - 1
  })
}
