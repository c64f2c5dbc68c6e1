/**
 * With others who undo what Berth writes. Three times it is repaired at once; after that with growing pauses, so that no
 * quarrel of two controllers keeps an API server busy.
 */
export interface WriteBackoff {
  /** Milliseconds until this may be written again; 0: now. */
  delayMs(id: string): number
  recordWrite(id: string): void
}

const atOnce = 3

/** As pauses between pulls grow in a kubelet, from seconds to minutes. */
const backoff = { firstMs: 5_000, mostMs: 600_000 }

/** Left alone for so long, it counts as settled. */
const forgetMs = 1_800_000

export function createWriteBackoff(now: () => number): WriteBackoff {
  const written = new Map<string, { count: number; last: number }>()
  const pause = (count: number) =>
    count < atOnce ? 0 : Math.min(backoff.firstMs * 2 ** (count - atOnce), backoff.mostMs)
  return {
    delayMs(id) {
      const { count = 0, last = 0 } = written.get(id) ?? {}
      return Math.max(0, last + pause(count) - now())
    },
    recordWrite(id) {
      for (const [other, { last }] of written) {
        if (now() - last < forgetMs) break
        written.delete(other)
      }
      const count = (written.get(id)?.count ?? 0) + 1
      // Taken out first, so that the oldest stands in front.
      written.delete(id)
      written.set(id, { count, last: now() })
    },
  }
}
