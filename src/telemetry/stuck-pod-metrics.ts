/** The Prometheus metrics of pods that wait for an image which a new pod would not get. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface StuckPodMetrics {
  /** Sets how many pods are stuck, by what is done about them. */
  stuck(counts: Readonly<Record<'recreate' | 'report', number>>): void
  /** Counts an eviction. */
  recreated(): void
}

/** Adds the metrics to a registry; to be called once. */
export function createStuckPodMetrics(registry: Registry): StuckPodMetrics {
  const registers = [registry]
  const stuck = new Gauge({
    name: 'berth_stuck_pods',
    help: 'Pods that cannot pull an image of Berth and would get another one if they were recreated, by action.',
    labelNames: ['action'] as const,
    registers,
  })
  const recreated = new Counter({
    name: 'berth_stuck_pods_evicted_total',
    help: 'Stuck pods that were evicted so that their controller recreates them.',
    registers,
  })
  return {
    stuck: (counts) => {
      for (const [action, pods] of Object.entries(counts)) stuck.set({ action }, pods)
    },
    recreated: () => recreated.inc(),
  }
}
