import { setTimeout as sleep } from 'node:timers/promises'

/** Lets one caller through at a time, no two within `gapMs` milliseconds of each other. */
export interface RateLimiter {
  /** Settles when it is the caller's turn; rejects when the signal aborts. */
  acquire(signal: AbortSignal): Promise<void>
  /** Milliseconds until the next turn. */
  delayMs(): number
}

export function createRateLimiter(gapMs: number, now: () => number): RateLimiter {
  let next = 0
  return {
    async acquire(signal) {
      const at = Math.max(next, now())
      next = at + gapMs
      const delay = at - now()
      if (delay > 0) await sleep(delay, undefined, { signal })
      signal.throwIfAborted()
    },
    delayMs: () => Math.max(0, next - now()),
  }
}
