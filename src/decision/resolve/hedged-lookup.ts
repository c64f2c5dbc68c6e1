/**
 * Trying candidates in strict order without paying for a silent one: each later candidate is asked after a head start
 * for the one before it (as RFC 8305 does for addresses), but its answer counts only when every earlier one has failed.
 */
import type { Candidate } from '../fallback/table.ts'
import { type ResolutionStep, type StepOutcome, unasked } from './step.ts'

/** RFC 8305, section 5, recommends 250 ms: longer than a healthy registry takes for a HEAD. */
const headStartMs = 250

export interface HedgedLookupOptions {
  readonly signal: AbortSignal
  readonly now: () => number
  /** `isLast`: no candidate comes after this one. */
  tryOne(candidate: Candidate, isLast: boolean, signal: AbortSignal): Promise<StepOutcome>
}

/** One step for each candidate, in order. Candidates behind the first one that is taken are `unasked`. */
export async function hedgedLookup(
  candidates: readonly Candidate[],
  options: HedgedLookupOptions,
): Promise<ResolutionStep[]> {
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const running: Promise<ResolutionStep>[] = []
  const begin = (index: number): Promise<ResolutionStep> => {
    running[index] ??= tryTimed(index)
    return running[index]
  }
  const steps: ResolutionStep[] = []
  for (let index = 0; index < candidates.length; index++) {
    const step = await withHeadStart(begin(index), () => void lookAhead(index))
    steps.push(step)
    if (endsWalk(step)) break
  }
  // Questions whose answers can no longer count are dropped; each still resolves, so nothing is left unhandled.
  stop.abort()
  const reached = steps.length
  return [
    ...steps,
    ...candidates
      .slice(reached)
      .map((candidate) => ({ candidate, ...unasked, milliseconds: null })),
  ]

  async function tryTimed(index: number): Promise<ResolutionStep> {
    const candidate = candidates[index] as Candidate
    const started = options.now()
    const tried = await options.tryOne(candidate, index === candidates.length - 1, signal)
    const milliseconds = tried.outcome === 'unasked' ? null : Math.round(options.now() - started)
    return { candidate, ...tried, milliseconds }
  }

  /** Starts the candidate behind `index`, and, as each fails or keeps its head start to itself, the ones behind that. */
  async function lookAhead(index: number): Promise<void> {
    const next = index + 1
    if (next >= candidates.length || signal.aborted || running[next] !== undefined) return
    try {
      const step = await withHeadStart(begin(next), () => void lookAhead(next))
      if (!endsWalk(step)) await lookAhead(next)
    } catch {
      // A bug in a candidate that is never reached is nobody's; in one that is reached, the loop above meets it.
    }
  }
}

function endsWalk({ outcome }: ResolutionStep): boolean {
  return outcome === 'found' || outcome === 'unasked'
}

/** The same promise, with `late` called if it has not settled after the head start. */
function withHeadStart(step: Promise<ResolutionStep>, late: () => void): Promise<ResolutionStep> {
  const timer = setTimeout(late, headStartMs)
  return step.finally(() => clearTimeout(timer))
}
