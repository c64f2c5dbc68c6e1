/** What the work comes to, or `otherwise` as soon as the signal aborts; the work goes on. Rejects as the work does. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal, otherwise: T): Promise<T> {
  if (signal.aborted) return Promise.resolve(otherwise)
  return new Promise((resolve, reject) => {
    const giveUp = () => resolve(otherwise)
    signal.addEventListener('abort', giveUp, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}
