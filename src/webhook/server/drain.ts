/**
 * Leaving without one refused call. An API server goes on sending for a while after it was told that a pod is going, and
 * on connections that it has kept open: so a process that is asked to stop first says that it is not ready, answers for
 * some time as ever, and closes only when nobody asks any more.
 */
export interface DrainOptions {
  /** Milliseconds since the last request came in. */
  readonly quietForMs: () => number
  /** Milliseconds of answering as ever, at the least. */
  readonly minimumMs: number
  /** Ends the wait at once: somebody asked a second time. */
  readonly forceStop?: AbortSignal
}

/** Endpoints reach every kube-proxy and API server within this time in a cluster that works. */
export const defaultDrainMs = 15_000

/** A steady stream of one call a second, which is little, is not quiet. */
const quietMs = 5_000

/** Below the 45 s that the Deployment gives, so that the process ends by itself. */
const maximumMs = 40_000

/** Between two looks; what it costs is a tenth of a second at the end. */
const lookEveryMs = 100

/** Waits until it is time to close. */
export async function drain({ quietForMs, minimumMs, forceStop }: DrainOptions): Promise<void> {
  const quiet = Math.min(quietMs, minimumMs)
  for (let waited = 0; waited < maximumMs; waited += lookEveryMs) {
    if (forceStop?.aborted === true) return
    if (waited >= minimumMs && quietForMs() >= quiet) return
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs))
  }
}
