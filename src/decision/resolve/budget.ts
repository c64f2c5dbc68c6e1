/** How long one review may take, and how the work under it learns that time is up. */

/**
 * The deadline of a review, whose clock starts when it is first asked for: only then is there something to wait for. A
 * function and no getter: V8 gives every object literal with a getter a hidden class of its own, and keeps that, with all
 * that the getter closes over, until the next full collection. With a pod behind it, that is most of a heap.
 */
export type LazySignal = () => AbortSignal

/** Two rounds of 5 s webhooks must fit into the 34 s that a request has; no answer is worth more than half of that. */
const ownCapMs = 2_500

/** `?timeout=` is rounded up to whole seconds (apiserver, mutating/dispatcher.go), so up to this much of it is not there. */
const roundingMs = 1_000

/** For the answer's way back and for a busy event loop. */
const marginMs = 150

/** Less than one slow HEAD: below this nothing could be asked, and the answer is late whatever is done. */
const floorMs = 250

/**
 * Milliseconds for one review, from the `timeout` that the API server put into the query: `5s`, or any Go duration made
 * of hours, minutes, seconds and milliseconds. Anything else counts as absent.
 */
export function budgetMs(timeout: unknown): number {
  const given = typeof timeout === 'string' ? goDurationMs(timeout) : null
  if (given === null || given <= 0) return ownCapMs
  return Math.max(floorMs, Math.min(ownCapMs, given - roundingMs - marginMs))
}

/** Why a question is stopped that used up its time, as against one whose asker has gone or has an answer by now. */
export class QueryTimeoutError extends Error {
  override readonly name = 'OutOfTime'
}

const unitsMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

function goDurationMs(text: string): number | null {
  if (!/^(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:h|ms|m|s))+$/.test(text) || text.length > 64) return null
  let total = 0
  for (const [, value = '', unit = ''] of text.matchAll(/([0-9.]+)(h|ms|m|s)/g)) {
    total += Number(value) * (unitsMs[unit] ?? 0)
  }
  return total
}
