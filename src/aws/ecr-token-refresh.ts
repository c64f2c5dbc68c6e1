/** When a token of ECR is fetched again: at half of its life when it came, with growing pauses when it did not. */

/**
 * At least five minutes between two tokens, whatever an answer says of its expiry: ECR lets an account ask twenty times a
 * second, and a clock that is wrong must not use that up.
 */
export const minRefreshMs = 300_000

/** Half of the twelve hours that ECR's tokens live. */
export const maxRefreshMs = 21_600_000

/** The first pause after a failure: a pod that waits for an image is tried again after ten seconds (kubelet's back-off). */
const firstPauseMs = 10_000

/** How much earlier than half-life, and than a whole pause, at the most: replicas that started together drift apart. */
const jitterShare = 0.1

/** Milliseconds until a token that has just come is fetched again. `random` is from 0 to 1. */
export function refreshDelayMs(remainingMs: number, random: number): number {
  const half = Math.min(remainingMs / 2, maxRefreshMs)
  return Math.max(minRefreshMs, half * (1 - jitterShare * random))
}

/** Milliseconds until the next attempt after this many failures in a row, from one on. */
export function retryDelayMs(failures: number, random: number): number {
  const pause = Math.min(firstPauseMs * 2 ** (failures - 1), minRefreshMs)
  return pause * (1 - jitterShare * random)
}
