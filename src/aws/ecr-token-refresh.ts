/** When an ECR token is fetched again: after half of its lifetime, or with backoff after a failure. */
import { type Backoff, backoffMs } from '../async/backoff.ts'

/**
 * At least five minutes between two tokens, whatever an answer says of its expiry: ECR lets an account ask twenty times a
 * second, and a clock that is wrong must not use that up.
 */
export const minRefreshMs = 300_000

/** Half of the twelve hours that ECR's tokens live. */
export const maxRefreshMs = 21_600_000

/** The share of each delay that is left to chance, so that replicas that started together do not fetch together. */
const jitter = 0.1

/** The first delay is the kubelet's: it retries to pull an image after ten seconds. */
const backoff: Backoff = { firstMs: 10_000, maxMs: minRefreshMs, jitter }

/** Milliseconds until a token that was fetched now is fetched again. `random` is from 0 to 1. */
export function refreshDelayMs(remainingMs: number, random: number): number {
  const half = Math.min(remainingMs / 2, maxRefreshMs)
  return Math.max(minRefreshMs, half * (1 - jitter * random))
}

/** Milliseconds until the next attempt after so many failures in a row, from 1 on. */
export function retryDelayMs(failures: number, random: number): number {
  return backoffMs(backoff, failures, random)
}
