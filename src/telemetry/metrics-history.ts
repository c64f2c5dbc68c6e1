/**
 * Keeps a day of samples of a few metrics of this process, so that `berth console` can show how they have changed without a
 * Prometheus in the cluster.
 */
import type { Registry } from 'prom-client'

/** What `/metrics/history` returns. Counters are totals since the start of the process. */
export interface MetricsHistory {
  /** When the process started, in milliseconds since 1970. */
  readonly startedAt: number
  /** Milliseconds between two samples. */
  readonly stepMs: number
  /** The names of the values of a sample, in order. */
  readonly series: readonly string[]
  /** Milliseconds since 1970, a multiple of the step; the last one is now. */
  readonly samples: readonly (readonly [at: number, ...values: number[]])[]
}

export interface HistoryRecorder {
  read(): Promise<MetricsHistory>
  stop(): void
}

interface Series {
  readonly name: string
  readonly metric: string
  /** Labels that a value must have. */
  readonly labels: Readonly<Record<string, string>>
}

/** Their names are the contract with `src/console/trend.ts`. A process has those whose metric it registers. */
const allSeries: readonly Series[] = [
  { name: 'reviews', metric: 'berth_admissions_total', labels: {} },
  { name: 'denied', metric: 'berth_admissions_total', labels: { outcome: 'denied' } },
  { name: 'errors', metric: 'berth_admissions_total', labels: { outcome: 'error' } },
  { name: 'images', metric: 'berth_images_total', labels: {} },
  { name: 'fromMirror', metric: 'berth_images_total', labels: { kind: 'mirror' } },
  { name: 'leads', metric: 'berth_controller_leader', labels: {} },
  { name: 'failing', metric: 'berth_pull_failures', labels: {} },
]

export const historyStepMs = 600_000

/** A day. Each sample takes about 100 bytes. */
const maxSamples = 144

export interface HistoryOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number
  readonly stepMs?: number
}

/** Starts to take samples, at the same times in all processes, so that their values can be added. */
export function recordHistory(
  registry: Registry,
  { now = Date.now, stepMs = historyStepMs }: HistoryOptions = {},
): HistoryRecorder {
  const startedAt = Math.round(performance.timeOrigin)
  const samples: (readonly [number, ...number[]])[] = []
  let timer: NodeJS.Timeout | undefined

  const seriesOf = () =>
    allSeries.filter(({ metric }) => registry.getSingleMetric(metric) !== undefined)

  async function take(at: number): Promise<readonly [number, ...number[]]> {
    return [at, ...(await Promise.all(seriesOf().map((each) => valueOf(registry, each))))]
  }

  /** `last`: the time of the last sample, which is not taken twice. */
  function schedule(last: number): void {
    // Not the step after the last one: if the clock was wrong and is set back, that can be years away.
    const next = (Math.floor(now() / stepMs) + 1) * stepMs
    const at = next === last ? next + stepMs : next
    timer = setTimeout(() => void record(at), at - now())
    // The timer must not keep a process running that has nothing else to do.
    timer.unref()
  }

  async function record(at: number): Promise<void> {
    // A timer may fire a millisecond early.
    schedule(at)
    samples.push(await take(at))
    samples.splice(0, samples.length - maxSamples)
  }

  schedule(0)
  return {
    read: async () => ({
      startedAt,
      stepMs,
      series: seriesOf().map(({ name }) => name),
      samples: [...samples, await take(now())],
    }),
    stop: () => clearTimeout(timer),
  }
}

/** Returns the sum of the values that have the labels. */
async function valueOf(registry: Registry, { metric, labels }: Series): Promise<number> {
  const { values } = (await registry.getSingleMetric(metric)?.get()) ?? { values: [] }
  const wanted = Object.entries(labels)
  return values
    .filter((each) => wanted.every(([name, value]) => each.labels[name] === value))
    .reduce((sum, { value }) => sum + value, 0)
}
