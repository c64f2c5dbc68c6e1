/** Waiting for a condition, with the last observed state in the error. */
import { setTimeout as sleep } from 'node:timers/promises'

export type WaitOptions = {
  /** A limit for failures, far above what a busy machine needs. Default two minutes. */
  timeoutMs?: number
  /** The pause between two checks. Default 100 ms. */
  intervalMs?: number
  /** Returns why waiting is pointless, such as an exited process; undefined to go on. */
  stopReason?: () => string | undefined
}

/**
 * Calls `check` until it returns something other than undefined or false, and returns that. A throw means "not yet"; a
 * failed wait reports the message of the last one.
 */
export async function waitFor<T>(
  description: string,
  check: () => T | Promise<T>,
  { timeoutMs = 120_000, intervalMs = 100, stopReason }: WaitOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    let lastSeen = 'nothing'
    try {
      const value = await check()
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>
    } catch (error) {
      lastSeen = error instanceof Error ? error.message : String(error)
    }
    const reason = stopReason?.()
    if (reason !== undefined) throw new Error(`stopped waiting for ${description}: ${reason}`)
    if (Date.now() > deadline) {
      throw new Error(
        `waited ${timeoutMs / 1_000} s for ${description}; last observed: ${lastSeen}`,
      )
    }
    await sleep(intervalMs)
  }
}
