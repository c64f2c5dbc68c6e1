/** The steps of a resolution: each candidate with the outcome of its probe. */
import type { Candidate } from '../fallback/table.ts'
import type { FailedOutcome } from './manifest-source.ts'

/** One candidate and the outcome of its probe. */
export interface ResolutionStep {
  readonly candidate: Candidate
  /** `unasked`: not reached, or taken without a probe. */
  readonly outcome: 'found' | FailedOutcome | 'unasked'
  readonly detail: string | null
  /** Duration of the probe; null if there was none. */
  readonly milliseconds: number | null
  /** The digest that the registry serves. After a failed probe, the digest that it served last. */
  readonly digest: string | null
  /** When the outcome expires, in milliseconds of the monotonic clock; Infinity without a probe. */
  readonly freshUntil: number
  /** The outcome for the original, if its digest was asked for, to compare this copy with it, and not found. */
  readonly originalOutcome?: FailedOutcome
}

/** A step without its candidate and its duration. */
export type StepOutcome = Omit<ResolutionStep, 'candidate' | 'milliseconds'>

/** The outcome of a candidate that is not probed. */
export const unasked: StepOutcome = {
  outcome: 'unasked',
  detail: null,
  digest: null,
  freshUntil: Infinity,
}
