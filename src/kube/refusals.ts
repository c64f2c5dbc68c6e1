/**
 * Remembers which collections the API server refused to an informer, so that an informer that replaces it continues the
 * backoff instead of sending a request at once.
 */
import { LRUCache } from 'lru-cache'

export interface Refusal {
  readonly error: unknown
  /** How many requests were refused in a row. */
  readonly count: number
  /** The time of the next request, by `performance.now()`. */
  readonly retryAt: number
}

/** By collection and selection. */
export type Refusals = Pick<LRUCache<string, Refusal>, 'get' | 'set' | 'delete'>

/** A loop follows a few collections, or a few in each namespace of its config. */
const maxRefusals = 1_000

/** Returns a function that returns the refusals of a loop, the same ones each time. */
export function createRefusals(): (loop: string) => Refusals {
  const loops = new Map<string, Refusals>()
  return (loop) => {
    const known = loops.get(loop) ?? new LRUCache<string, Refusal>({ max: maxRefusals })
    loops.set(loop, known)
    return known
  }
}
