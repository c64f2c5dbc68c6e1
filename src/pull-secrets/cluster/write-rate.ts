/** How fast pull secrets are written: `pullSecretCopies.writesPerSecond`. */
import { type Clock, createRateLimiter, type RateLimiter } from '../../async/rate-limiter.ts'

/** A gap is a little longer than its share of a second, because network delays are uneven and no second must have more writes. */
const margin = 1.05

/** An API server under load takes this long for a write. */
const slowWriteSeconds = 0.4

/** Returns a limiter that lets at most `writesPerSecond` writes through in any second. */
export function createWriteLimiter(writesPerSecond: number, clock?: Clock): RateLimiter {
  return createRateLimiter((1_000 * margin) / writesPerSecond, clock)
}

/** Returns how many writes must be able to wait for a slow API server at the same time, to reach the rate. */
export function concurrentWrites(writesPerSecond: number): number {
  return Math.max(1, Math.ceil(writesPerSecond * slowWriteSeconds))
}
