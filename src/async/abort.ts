/** Helpers for work that an `AbortSignal` ends. */

/** Calls `listener` once when the signal aborts, or now if it has aborted. Returns a function that removes the listener. */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener()
    return () => {}
  }
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}

/** Resolves when the signal aborts. A pending signal does not keep the process alive. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    onAbort(signal, () => resolve())
  })
}

/**
 * Settles as `work` does, or resolves to `otherwise` when the signal aborts first. The work itself goes on. Work that has
 * settled wins over a signal that has aborted.
 */
export async function untilAborted<Value, Otherwise = Value>(
  work: Promise<Value>,
  signal: AbortSignal,
  otherwise: Otherwise,
): Promise<Value | Otherwise> {
  const { promise, resolve } = Promise.withResolvers<Otherwise>()
  const removeListener = onAbort(signal, () => resolve(otherwise))
  try {
    return await Promise.race([work, promise])
  } finally {
    removeListener()
  }
}

/** Settles as `work` does, or rejects with the signal's reason when the signal aborts first. The work itself goes on. */
export async function rejectOnAbort<Value>(
  work: Promise<Value>,
  signal: AbortSignal,
): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>()
  const removeListener = onAbort(signal, () => reject(signal.reason))
  try {
    return await Promise.race([work, promise])
  } finally {
    removeListener()
  }
}

/** A controller that also aborts, with the same reason, when its parent does. */
export interface LinkedAbort {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
  /** Removes the listener from the parent. Needed when the parent lives longer than the work. */
  unlink(): void
}

/**
 * Links a new abort controller to a parent signal. Unlike `AbortSignal.any`, the link can be removed, so that a signal that
 * lives as long as the process does not collect listeners.
 */
export function linkAbort(parent: AbortSignal): LinkedAbort {
  const controller = new AbortController()
  const unlink = onAbort(parent, () => controller.abort(parent.reason))
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink,
  }
}
