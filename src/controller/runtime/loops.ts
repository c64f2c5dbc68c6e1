/** What runs in `berth controller`: loops, one job each, kept going by one replica at a time. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../telemetry/log.ts'

export interface Loop {
  /** For the log and the metrics: `mirror`, `pull-secrets`. */
  readonly name: string
  /** Works until the signal aborts. A failure that it cannot get over may be thrown: the loop is begun again. */
  run(signal: AbortSignal): Promise<void>
}

export interface LoopReports {
  readonly log: Logger
  readonly loopFailed: (name: string) => void
}

/** As client-go's wait.Backoff is commonly set for controllers. */
const backoff = { firstMs: 1_000, mostMs: 60_000 }

/** Runs all loops side by side until the signal aborts, and each of them again after a failure. Never throws. */
export async function runLoops(
  loops: readonly Loop[],
  reports: LoopReports,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(loops.map((loop) => keepGoing(loop, reports, signal)))
}

async function keepGoing(
  loop: Loop,
  { log, loopFailed }: LoopReports,
  signal: AbortSignal,
): Promise<void> {
  let waitMs = backoff.firstMs
  while (!signal.aborted) {
    const started = performance.now()
    try {
      await loop.run(signal)
    } catch (error) {
      if (signal.aborted) return
      loopFailed(loop.name)
      log.error({ err: error, loop: loop.name }, 'a loop failed, and is begun again')
    }
    if (performance.now() - started > backoff.mostMs) waitMs = backoff.firstMs
    await sleep(waitMs, undefined, { signal }).catch(() => undefined)
    waitMs = Math.min(waitMs * 2, backoff.mostMs)
  }
}
