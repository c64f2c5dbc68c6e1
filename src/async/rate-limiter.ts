import { sleep } from './sleep.ts'

/** Lets callers through one at a time, with a gap between them. */
export interface RateLimiter {
  /** Resolves when it is the caller's turn. Rejects with the signal's reason when the signal aborts. */
  acquire(signal: AbortSignal): Promise<void>
  /** Milliseconds until the next turn. */
  delayMs(): number
}

export interface Clock {
  /** Milliseconds of a clock that never goes back. */
  now(): number
  /** Resolves after so many milliseconds, or when the signal aborts. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>
}

const systemClock: Clock = { now: () => performance.now(), sleep }

/** Creates a limiter that lets no two callers through within `gapMs` milliseconds. */
export function createRateLimiter(gapMs: number, clock: Clock = systemClock): RateLimiter {
  let next = 0
  const delayMs = () => Math.max(0, next - clock.now())
  return {
    async acquire(signal) {
      const waitMs = delayMs()
      next = clock.now() + waitMs + gapMs
      if (waitMs > 0) await clock.sleep(waitMs, signal)
      signal.throwIfAborted()
    },
    delayMs,
  }
}
