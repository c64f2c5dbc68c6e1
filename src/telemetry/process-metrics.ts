import { Gauge, type Registry } from 'prom-client'

export interface ProcessMetrics {
  /** Sets whether the config file, as it is now, is in force. */
  readonly configLoaded: (isInForce: boolean) => void
}

/** Registers the metrics that every Berth process has: memory, start time and the last reload of the config. */
export function createProcessMetrics(registry: Registry): ProcessMetrics {
  const registers = [registry]
  const memory: Gauge = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory of the process, as the kernel counts it against the limit.',
    registers,
    collect: () => memory.set(process.memoryUsage.rss()),
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
  return { configLoaded: (isInForce) => lastReload.set(isInForce ? 1 : 0) }
}
