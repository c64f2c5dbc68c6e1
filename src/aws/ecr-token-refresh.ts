/** Computes when an ECR token is fetched again: after half of its lifetime, or with backoff after a failure. */
import { type Backoff, backoffMs } from '../async/backoff.ts'

/**
 * The least time between two tokens, whatever expiry a response states. ECR allows an account 20 requests per second, and a
 * wrong clock must not use them up.
 */
export const minRefreshMs = 300_000

/** Half of the 12 hours that ECR tokens are valid. */
const maxRefreshMs = 21_600_000

/** The share of each delay that is left to chance, so that replicas that started together do not fetch together. */
const jitter = 0.1

/** The first delay is the kubelet's: it retries to pull an image after ten seconds. */
const backoff: Backoff = { firstMs: 10_000, maxMs: minRefreshMs, jitter }

/** Returns the milliseconds until a token that was fetched now is fetched again. `random` is from 0 to 1. */
export function refreshDelayMs(remainingMs: number, random: number): number {
  const half = Math.min(remainingMs / 2, maxRefreshMs)
  return Math.max(minRefreshMs, half * (1 - jitter * random))
}

/** Returns the milliseconds until the next attempt after so many failures in a row, from 1 on. */
export function retryDelayMs(failures: number, random: number): number {
  return backoffMs(backoff, failures, random)
}
