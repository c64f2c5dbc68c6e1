/** Limits the bytes that concurrent work holds in memory. Work that does not fit waits, in order. */
import { onAbort } from './abort.ts'

export interface ByteBudget {
  readonly maxBytes: number
  /**
   * Takes bytes from the budget, and returns a function that gives them back. Work that needs more than the whole budget gets
   * all of it. Rejects with the signal's reason when the signal aborts first.
   */
  acquire(bytes: number, signal: AbortSignal): Promise<() => void>
}

interface Waiter {
  readonly bytes: number
  readonly start: () => void
}

/**
 * Creates a budget. With a parent, it takes the bytes from the parent too. Work that waits for a full budget takes nothing
 * from the parent yet, so that it does not delay work of the parent's other budgets.
 */
export function createByteBudget(maxBytes: number, parent?: ByteBudget): ByteBudget {
  let freeBytes = maxBytes
  const waiters = new Set<Waiter>()

  /** Starts the waiters that fit, up to the first that does not: otherwise a large one could wait forever. */
  const startWaiters = () => {
    for (const waiter of waiters) {
      if (waiter.bytes > freeBytes) return
      waiters.delete(waiter)
      freeBytes -= waiter.bytes
      waiter.start()
    }
  }

  const acquireHere = async (bytes: number, signal: AbortSignal): Promise<() => void> => {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = { bytes: Math.min(bytes, maxBytes), start: resolve }
    waiters.add(waiter)
    const removeListener = onAbort(signal, () => {
      if (!waiters.delete(waiter)) return
      reject(signal.reason as Error)
      startWaiters()
    })
    startWaiters()
    try {
      await promise
    } finally {
      removeListener()
    }
    return once(() => {
      freeBytes += waiter.bytes
      startWaiters()
    })
  }

  return {
    maxBytes,
    async acquire(bytes, signal) {
      const release = await acquireHere(bytes, signal)
      if (parent === undefined) return release
      try {
        const releaseParent = await parent.acquire(bytes, signal)
        return () => {
          releaseParent()
          release()
        }
      } catch (error) {
        release()
        throw error
      }
    },
  }
}

function once(work: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) work()
    isDone = true
  }
}
