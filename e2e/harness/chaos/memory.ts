/** Memory and other metrics of the webhook's processes while faults happen. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { processesOf } from './berth-process.ts'

/** One process: a container that restarts is another one. */
export type ProcessMetrics = {
  pod: string
  /** Bytes, oldest first. */
  residentBytes: number[]
  /** Reviews without a decision, which admitted the pod unchanged. */
  errors: number
}

export type MetricsWatch = {
  processes(): ProcessMetrics[]
  /** Returns the last metrics of every process as texts, by pod. */
  texts(): Record<string, string>
  stop(): Promise<void>
}

/** A pod's process can be frozen or gone. */
const timeoutMs = 2_000

/** Reads the metrics of every replica every second. */
export function watchMetrics(api: KubeApi): MetricsWatch {
  const processes = new Map<string, ProcessMetrics>()
  const texts: Record<string, string> = {}
  const stopped = new AbortController()
  const read = async () => {
    for (const { pod, address } of await processesOf(api, 'webhook')) {
      const text = await metricsOf(address)
      if (text === null) continue
      texts[pod] = text
      const key = `${pod} ${valueOf(text, 'process_start_time_seconds')}`
      const known = processes.get(key) ?? { pod, residentBytes: [], errors: 0 }
      processes.set(key, known)
      known.residentBytes.push(valueOf(text, 'process_resident_memory_bytes'))
      known.errors = errorsIn(text)
    }
  }
  const running = (async () => {
    while (!stopped.signal.aborted) {
      await read()
      await sleep(1_000)
    }
  })()
  return {
    processes: () => [...processes.values()],
    texts: () => texts,
    stop: async () => {
      stopped.abort()
      await running
    },
  }
}

/** Returns the metrics at an address of a pod; null if it does not answer. */
export async function metricsOf(address: string): Promise<string | null> {
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    return await (await fetch(`http://${address}:8080/metrics`, { signal })).text()
  } catch {
    return null
  }
}

/** Returns the value of a metric without labels; 0 if there is none. */
export function valueOf(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
}

function errorsIn(text: string): number {
  const errors = text.matchAll(/^berth_admissions_total\{[^}]*outcome="error"[^}]*\} (\S+)$/gm)
  return [...errors].reduce((sum, [, count]) => sum + Number(count), 0)
}

/**
 * Returns by how much the memory of a process grew: the median of the last quarter of its samples divided by that of the second,
 * when its caches are full.
 */
export function growth({ residentBytes }: ProcessMetrics): number {
  const quarter = (index: number) => {
    const from = Math.floor((residentBytes.length * index) / 4)
    const samples = residentBytes.slice(from, from + Math.ceil(residentBytes.length / 4))
    return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0
  }
  return quarter(3) / quarter(1)
}
