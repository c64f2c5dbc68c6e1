/** What Prometheus is told of pods whose images do not come. Labels come from the configuration and a closed list. */
import { Gauge, type Registry } from 'prom-client'

export interface FailingCount {
  readonly cause: string
  /** A host of the configuration, or `other`. */
  readonly registry: string
  readonly pods: number
}

export interface PullFailureMetrics {
  /** All that fail now: what is not among them is gone. */
  failing(counts: readonly FailingCount[]): void
}

/** Adds them to a registry, once. */
export function createPullFailureMetrics(registry: Registry): PullFailureMetrics {
  const gauge = new Gauge({
    name: 'berth_pull_failures',
    help: 'Pods with an image that does not come, now, by cause and registry; told by the replica that leads.',
    labelNames: ['cause', 'registry'] as const,
    registers: [registry],
  })
  return {
    failing: (counts) => {
      gauge.reset()
      for (const { cause, registry: host, pods } of counts)
        gauge.set({ cause, registry: host }, pods)
    },
  }
}
