import { linkAbort } from './abort.ts'
import { sleep } from './sleep.ts'

/** Wakes one waiter, also when the notification comes before the wait. */
export interface Notifier {
  notify(): void
  /** Resolves when `notify` was called since the last wait, after so many milliseconds, or when the signal aborts. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>
}

export function createNotifier(): Notifier {
  let isNotified = false
  let wake = () => {}
  return {
    notify: () => {
      isNotified = true
      wake()
    },
    wait: async (milliseconds, signal) => {
      if (!isNotified) {
        const link = linkAbort(signal)
        wake = () => link.abort()
        await sleep(milliseconds, link.signal)
        link.unlink()
      }
      isNotified = false
    },
  }
}
