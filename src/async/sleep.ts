/** The longest delay that a timer takes, in milliseconds (HTML, "timers"). */
export const longestDelayMs: number = 2 ** 31 - 1

/** Resolves after so many milliseconds, or as soon as the signal aborts. Never rejects. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end, { once: true })
  })
}
