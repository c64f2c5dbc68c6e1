import { setTimeout as sleep } from 'node:timers/promises'

/** How long to wait, how often to look, and when waiting has become pointless (the reason is returned). */
export type WaitOptions = {
  timeoutMs?: number
  intervalMs?: number
  stopReason?: () => string | undefined
}

/**
 * Calls `look` until it returns something other than undefined or false, and returns that. Throwing means "not yet":
 * the message of the last throw is the observed state that a failed wait reports.
 */
export async function waitFor<T>(
  what: string,
  look: () => T | Promise<T>,
  { timeoutMs = 60_000, intervalMs = 100, stopReason }: WaitOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    let seen = 'nothing'
    try {
      const value = await look()
      if (value !== undefined && value !== false) {
        return value as Exclude<T, undefined | false>
      }
    } catch (error) {
      seen = error instanceof Error ? error.message : String(error)
    }
    const pointless = stopReason?.()
    if (pointless !== undefined) throw new Error(`gave up waiting for ${what}: ${pointless}`)
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeoutMs / 1000} s for ${what}; last seen: ${seen}`)
    }
    await sleep(intervalMs)
  }
}
