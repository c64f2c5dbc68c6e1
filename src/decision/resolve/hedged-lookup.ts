/**
 * Probes candidates in strict order without waiting for a slow registry: each candidate has a head start, then the next
 * probe starts in parallel (as RFC 8305 does for addresses). An outcome counts only when all earlier candidates failed.
 */
import type { Candidate } from '../fallback/table.ts'
import type { ProbeOptions } from './probe-candidate.ts'
import { type ResolutionStep, type StepOutcome, unasked } from './step.ts'

/** RFC 8305, section 5, recommends 250 ms. A healthy registry answers a HEAD request in less. */
const headStartMs = 250

export interface HedgedLookupOptions {
  readonly signal: AbortSignal
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  readonly probe: (candidate: Candidate, options: ProbeOptions) => Promise<StepOutcome>
}

/** Returns one step for each candidate, in order. Candidates after the first one that is taken are `unasked`. */
export async function hedgedLookup(
  candidates: readonly Candidate[],
  { signal: callerSignal, now, probe }: HedgedLookupOptions,
): Promise<ResolutionStep[]> {
  const stop = new AbortController()
  const signal = AbortSignal.any([callerSignal, stop.signal])
  const started: Promise<ResolutionStep>[] = []
  const steps: ResolutionStep[] = []
  for (let index = 0; index < candidates.length; index++) {
    const step = await withHeadStart(start(index), () => void startNext(index))
    steps.push(step)
    if (isFinal(step)) break
  }
  // Cancels the probes that no longer matter. They resolve as timeouts, so no rejection is left unhandled.
  stop.abort()
  const notReached = candidates.slice(steps.length)
  return [
    ...steps,
    ...notReached.map((candidate) => ({ candidate, ...unasked, milliseconds: null })),
  ]

  /** Starts the probe of a candidate once. */
  function start(index: number): Promise<ResolutionStep> {
    started[index] ??= probeTimed(index)
    return started[index]
  }

  async function probeTimed(index: number): Promise<ResolutionStep> {
    const candidate = candidates[index] as Candidate
    const startedAt = now()
    const outcome = await probe(candidate, { isLast: index === candidates.length - 1, signal })
    const milliseconds = outcome.outcome === 'unasked' ? null : Math.round(now() - startedAt)
    return { candidate, ...outcome, milliseconds }
  }

  /** Starts the candidate after `index`, and the one after that when it fails or its head start ends. */
  async function startNext(index: number): Promise<void> {
    const next = index + 1
    if (next >= candidates.length || signal.aborted || started[next] !== undefined) return
    try {
      const step = await withHeadStart(start(next), () => void startNext(next))
      if (!isFinal(step)) await startNext(next)
    } catch {
      // The loop above awaits the same promise if it reaches this candidate, and rejects then.
    }
  }
}

function isFinal({ outcome }: ResolutionStep): boolean {
  return outcome === 'found' || outcome === 'unasked'
}

/** Returns the same promise, and calls `onLate` if it is still pending after the head start. */
function withHeadStart(step: Promise<ResolutionStep>, onLate: () => void): Promise<ResolutionStep> {
  const timer = setTimeout(onLate, headStartMs)
  return step.finally(() => clearTimeout(timer))
}
