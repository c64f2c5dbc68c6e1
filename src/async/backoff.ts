/** Exponential backoff: each failure in a row doubles the delay, up to a maximum. */
export interface Backoff {
  /** Milliseconds after the first failure. */
  readonly firstMs: number
  readonly maxMs: number
  /** The share of each delay, from 0 to 1, that is left to chance, so that clients do not retry in step. Default 0. */
  readonly jitter?: number
}

/** Milliseconds to wait after so many failures in a row, from 1 on. `random` is from 0 up to 1. */
export function backoffMs(
  { firstMs, maxMs, jitter = 0 }: Backoff,
  failures: number,
  random = Math.random(),
): number {
  const delay = Math.min(firstMs * 2 ** (failures - 1), maxMs)
  return delay * (1 - jitter * random)
}
