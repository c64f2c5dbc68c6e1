import type { Candidate } from '../fallback/table.ts'
import type { Failure } from './ports.ts'

/** One candidate and what came of it. */
export interface Step {
  readonly candidate: Candidate
  /** `unasked`: not reached, or taken without a question. */
  readonly outcome: 'found' | Failure | 'unasked'
  readonly detail: string | null
  /** How long the answer took; null when nothing was asked. */
  readonly milliseconds: number | null
  readonly digest: string | null
}

/** What asking for one candidate gives. */
export type Tried = Pick<Step, 'outcome' | 'detail' | 'digest'>

/** A candidate that nobody was asked about. */
export const unasked: Tried = { outcome: 'unasked', detail: null, digest: null }

/** The original needs no proof: when it is reached, it is taken, as is a mirror that is trusted unasked. */
export function isTaken({ candidate, outcome }: Step): boolean {
  return candidate.kind === 'original' || outcome === 'found' || outcome === 'unasked'
}
