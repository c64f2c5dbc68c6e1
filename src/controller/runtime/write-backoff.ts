/**
 * Backs off when another writer reverts Berth's changes: three writes are repeated at once, later ones with growing delays,
 * so that two controllers that disagree do not keep the API server busy.
 */
import { backoffMs } from '../../async/backoff.ts'

export interface WriteBackoff {
  /** Returns the milliseconds until this write may be repeated; 0 for now. */
  delayMs(id: string): number
  recordWrite(id: string): void
}

const immediateWrites = 3

/** Grows from seconds to minutes, as the kubelet's delays between pulls do. */
const backoff = { firstMs: 5_000, maxMs: 600_000 }

/** A write that was not repeated for this long counts as accepted. */
const forgetMs = 1_800_000

export function createWriteBackoff(now: () => number): WriteBackoff {
  const writes = new Map<string, { readonly count: number; readonly last: number }>()
  const delayAfter = (count: number) =>
    count < immediateWrites ? 0 : backoffMs(backoff, count - immediateWrites + 1)
  return {
    delayMs(id) {
      const { count = 0, last = 0 } = writes.get(id) ?? {}
      return Math.max(0, last + delayAfter(count) - now())
    },
    recordWrite(id) {
      for (const [other, { last }] of writes) {
        if (now() - last < forgetMs) break
        writes.delete(other)
      }
      const count = (writes.get(id)?.count ?? 0) + 1
      // Deleted first, so that the map stays in the order of the last writes.
      writes.delete(id)
      writes.set(id, { count, last: now() })
    },
  }
}
