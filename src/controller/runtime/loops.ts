/** Runs the controller's loops next to each other and restarts a loop that fails. */
import { aborted } from '../../async/abort.ts'
import { type Backoff, backoffMs } from '../../async/backoff.ts'
import { sleep } from '../../async/sleep.ts'
import type { Logger } from '../../telemetry/log.ts'

export interface Loop {
  /** For the log and the metrics: `mirror`, `pull-secrets`. */
  readonly name: string
  /** Works until the signal aborts. May throw: the loop is restarted. */
  run(signal: AbortSignal): Promise<void>
}

export interface LoopReports {
  readonly log: Logger
  readonly loopFailed: (name: string) => void
}

/** As client-go's wait.Backoff is commonly set for controllers. */
const backoff: Backoff = { firstMs: 1_000, maxMs: 60_000 }

/** Runs all loops until the signal aborts, also when there are none. Never throws. */
export async function runLoops(
  loops: readonly Loop[],
  reports: LoopReports,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all([
    aborted(signal),
    ...loops.map((loop) => restartOnFailure(loop, reports, signal)),
  ])
}

async function restartOnFailure(
  loop: Loop,
  { log, loopFailed }: LoopReports,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    const startedAt = performance.now()
    try {
      await loop.run(signal)
    } catch (error) {
      if (signal.aborted) return
      loopFailed(loop.name)
      log.error({ err: error, loop: loop.name }, 'loop failed')
    }
    failures = performance.now() - startedAt > backoff.maxMs ? 1 : failures + 1
    await sleep(backoffMs(backoff, failures), signal)
  }
}
