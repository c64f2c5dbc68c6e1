/** The Prometheus metrics of image pull failures. Label values come from the config and from a closed list. */
import { Gauge, type Registry } from 'prom-client'

export interface FailingCount {
  readonly cause: string
  /** A host of the config, or `other`. */
  readonly registry: string
  readonly pods: number
}

export interface PullFailureMetrics {
  /** Sets all pods that fail now; counts that are left out are reset. */
  failing(counts: readonly FailingCount[]): void
}

/** Adds the metrics to a registry; to be called once. */
export function createPullFailureMetrics(registry: Registry): PullFailureMetrics {
  const gauge = new Gauge({
    name: 'berth_pull_failures',
    help: 'Pods with an image that cannot be pulled now, by cause and registry; reported by the replica that leads.',
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
