/** Ends the wait for work that does not stop when its signal aborts. */
import { onAbort } from '../../async/abort.ts'

/** Work that has not stopped this much later never will. Less than the margin of the time budget (resolve/budget.ts). */
const graceMs = 100

export interface Watchdog {
  /** Resolves to null when the grace period after the abort is over. */
  readonly expired: Promise<null>
  stop(): void
}

export function startWatchdog(signal: AbortSignal): Watchdog {
  const { promise, resolve } = Promise.withResolvers<null>()
  let timer: NodeJS.Timeout | undefined
  const removeListener = onAbort(signal, () => {
    timer = setTimeout(() => resolve(null), graceMs)
  })
  return {
    expired: promise,
    stop: () => {
      clearTimeout(timer)
      removeListener()
    },
  }
}
