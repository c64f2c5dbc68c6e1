/** The time budget of one review, and how the work under it learns that the time is up. */

/**
 * Returns the deadline of a review; its clock starts at the first call. A function and not a getter: V8 gives each object
 * literal with a getter its own hidden class, and keeps it with everything the getter closes over until the next full
 * collection. With a pod in the closure, that is most of the heap.
 */
export type LazySignal = () => AbortSignal

/** Two rounds of webhooks with a 5 s timeout must fit into the 34 s of a request. Berth uses at most half of 5 s. */
const maxBudgetMs = 2_500

/** The API server rounds `?timeout=` up to whole seconds (apiserver, mutating/dispatcher.go): up to 1 s of it may not exist. */
const roundingMs = 1_000

/** For the response on the network and a busy event loop. */
const marginMs = 150

/** Less time than one slow HEAD request needs. With less, no registry could answer. */
const minBudgetMs = 250

/**
 * Returns the milliseconds for one review, from the `timeout` that the API server sends in the query: a Go duration of
 * hours, minutes, seconds and milliseconds, such as `5s`. Any other value counts as absent.
 */
export function budgetMs(timeout: unknown): number {
  const requested = typeof timeout === 'string' ? parseGoDurationMs(timeout) : null
  if (requested === null || requested <= 0) return maxBudgetMs
  return Math.max(minBudgetMs, Math.min(maxBudgetMs, requested - roundingMs - marginMs))
}

/** Aborts a query that used up its own timeout, as opposed to a query whose callers have all gone. */
export class QueryTimeoutError extends Error {
  override readonly name = 'QueryTimeoutError'
}

const unitsMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

function parseGoDurationMs(text: string): number | null {
  if (!/^(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:h|ms|m|s))+$/.test(text) || text.length > 64) return null
  let total = 0
  for (const [, value = '', unit = ''] of text.matchAll(/([0-9.]+)(h|ms|m|s)/g)) {
    total += Number(value) * (unitsMs[unit] ?? 0)
  }
  return total
}
