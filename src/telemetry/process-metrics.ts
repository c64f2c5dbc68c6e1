import { Counter, Gauge, type Registry } from 'prom-client'

export interface ProcessMetrics {
  /** Sets whether the config file, as it is now, is in force. */
  readonly configLoaded: (isInForce: boolean) => void
}

export interface ProcessMetricsOptions {
  /** Returns how many lines of the log were lost. */
  readonly droppedLogLines: () => number
}

/** Registers the metrics that every Berth process has: memory, CPU, event loop, start, the last reload, and lost log lines. */
export function createProcessMetrics(
  registry: Registry,
  { droppedLogLines }: ProcessMetricsOptions,
): ProcessMetrics {
  const registers = [registry]
  const memory: Gauge = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory of the process, as the kernel counts it against the limit.',
    registers,
    collect: () => memory.set(process.memoryUsage.rss()),
  })
  const cpu: Counter = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process, in user and system mode, in seconds.',
    registers,
    collect: () => {
      const { user, system } = process.cpuUsage()
      cpu.reset()
      cpu.inc((user + system) / 1e6)
    },
  })
  const eventLoop: Counter = new Counter({
    name: 'berth_event_loop_active_seconds_total',
    help: 'Time in which the event loop ran code, in seconds. A rate near 1 delays everything.',
    registers,
    collect: () => {
      eventLoop.reset()
      eventLoop.inc(performance.eventLoopUtilization().active / 1_000)
    },
  })
  const start = new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, in seconds since 1970.',
    registers,
  })
  start.set(performance.timeOrigin / 1000)
  const lastReload = new Gauge({
    name: 'berth_config_last_reload_successful',
    help: '1 if the config file is in force, 0 if it has errors and the previous config is in force.',
    registers,
  })
  const dropped: Counter = new Counter({
    name: 'berth_log_lines_dropped_total',
    help: 'Log lines that were lost because standard error could not be written, or was read too slowly.',
    registers,
    collect: () => {
      dropped.reset()
      dropped.inc(droppedLogLines())
    },
  })
  return { configLoaded: (isInForce) => lastReload.set(isInForce ? 1 : 0) }
}
