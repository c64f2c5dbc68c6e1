/**
 * Draining: an API server goes on sending for a while after the pod was removed from the endpoints, and over connections that
 * it has kept open. A process that is asked to stop therefore reports that it is not ready, answers as before for some time,
 * and closes only when no requests arrive any more.
 */
import { sleep } from '../../async/sleep.ts'

export interface DrainOptions {
  /** Milliseconds since the last request began. */
  readonly quietForMs: () => number
  /** Milliseconds to go on answering, at least. */
  readonly minimumMs: number
  /** Ends the wait at once. */
  readonly forceStop: AbortSignal
}

/** Even a low rate of one request per second is not quiet. */
const quietMs = 5_000

/** Below the 45 s that the Deployment gives, so that the process ends before it is killed. */
const maximumMs = 40_000

const checkEveryMs = 100

/** Resolves when it is time to close. */
export async function drain({ quietForMs, minimumMs, forceStop }: DrainOptions): Promise<void> {
  const quiet = Math.min(quietMs, minimumMs)
  for (let waited = 0; waited < maximumMs && !forceStop.aborted; waited += checkEveryMs) {
    if (waited >= minimumMs && quietForMs() >= quiet) return
    await sleep(checkEveryMs, forceStop)
  }
}
