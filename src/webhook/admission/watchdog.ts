/** Work ends by itself when its signal aborts; what has not ended this much later never will. Less than the budget's margin. */
const graceMs = 100

/** Resolves to null when work under this signal is overdue. */
export function startWatchdog(signal: AbortSignal): { readonly bite: Promise<null>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<null>()
  let timer: NodeJS.Timeout | undefined
  const start = () => {
    timer = setTimeout(() => resolve(null), graceMs)
  }
  if (signal.aborted) start()
  else signal.addEventListener('abort', start, { once: true })
  return {
    bite: promise,
    stop: () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', start)
    },
  }
}
