/** Runs the controller's loops next to each other and restarts a loop that fails. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
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
const backoff = { firstMs: 1_000, mostMs: 60_000 }

/** Runs all loops until the signal aborts, also when there are none. Never throws. */
export async function runLoops(
  loops: readonly Loop[],
  reports: LoopReports,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return
  await Promise.all([
    once(signal, 'abort'),
    ...loops.map((loop) => restartOnFailure(loop, reports, signal)),
  ])
}

async function restartOnFailure(
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
      log.error({ err: error, loop: loop.name }, 'loop failed')
    }
    if (performance.now() - started > backoff.mostMs) waitMs = backoff.firstMs
    await sleep(waitMs, undefined, { signal }).catch(() => undefined)
    waitMs = Math.min(waitMs * 2, backoff.mostMs)
  }
}
