/** How long the processes of the webhook were ready to run without a CPU. It separates a busy machine from a fault of Berth. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import type { StreamCount } from '../pod-stream.ts'
import { pidOf, processesOf } from './berth-process.ts'

type Sample = { at: number; waitedMs: number }

export type CpuWatch = {
  /**
   * Whether a creation timed out while a replica waited so long for a CPU that its answer could not be in time, or the API
   * server noticed its own timeout late.
   */
  isCauseOf: (failure: StreamCount['failures'][number]) => boolean
  stop(): Promise<void>
}

/**
 * Reads once a second how long the main thread of each replica has waited (Documentation/scheduler/sched-stats.rst).
 * `timeoutSeconds` is that of the webhook configuration.
 */
export function watchCpu(api: KubeApi, timeoutSeconds: number): CpuWatch {
  const timeoutMs = timeoutSeconds * 1_000
  // Berth uses half of the timeout at most (src/decision/resolve/budget.ts).
  const enoughMs = 0.3 * timeoutMs
  const samples = new Map<number, Sample[]>()
  const stopped = new AbortController()
  const running = (async () => {
    while (!stopped.signal.aborted) {
      for (const pid of (await processesOf(api, 'webhook')).map(pidOf)) {
        const waitedMs = pid === undefined ? null : waitedMsOf(pid)
        if (pid === undefined || waitedMs === null) continue
        const known = samples.get(pid) ?? []
        samples.set(pid, known)
        known.push({ at: performance.now(), waitedMs })
      }
      await sleep(1_000)
    }
  })()
  return {
    isCauseOf: ({ from, at, problem }) =>
      problem.includes('context deadline exceeded') &&
      (at - from >= timeoutMs + enoughMs ||
        [...samples.values()].some((each) => waitedBetween(each, from, at) >= enoughMs)),
    stop: async () => {
      stopped.abort()
      await running
    },
  }
}

/** Returns the wait between the last sample before and the first one after; 0 if the process did not live as long. */
export function waitedBetween(samples: readonly Sample[], from: number, until: number): number {
  const first = samples.findLast(({ at }) => at <= from)
  const last = samples.find(({ at }) => at >= until)
  return first === undefined || last === undefined ? 0 : last.waitedMs - first.waitedMs
}

function waitedMsOf(pid: number): number | null {
  try {
    const [, nanoseconds] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')
    return Number(nanoseconds) / 1e6
  } catch {
    return null
  }
}
