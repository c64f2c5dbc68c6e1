/** The Prometheus metrics of pods that Berth has not processed. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface UnprocessedPodMetrics {
  /** Sets the number of unprocessed pods by namespace; namespaces that are left out are reset. */
  unprocessed(pods: ReadonlyMap<string, number>): void
  /** Counts an eviction. */
  evicted(): void
}

/** A series costs Prometheus some kilobytes. */
const maxNamespaces = 100

/** The label for the namespaces with fewer pods, which no namespace can have as its name. */
const otherNamespaces = '_other'

/** Adds the metrics to a registry; to be called once. */
export function createUnprocessedPodMetrics(registry: Registry): UnprocessedPodMetrics {
  const registers = [registry]
  const unprocessed = new Gauge({
    name: 'berth_unprocessed_pods',
    help: 'Pods that Berth has not processed and whose images would change in a new pod, by namespace; reported by the replica that leads.',
    labelNames: ['namespace'] as const,
    registers,
  })
  const evicted = new Counter({
    name: 'berth_unprocessed_pods_evicted_total',
    help: 'Unprocessed pods that were evicted so that their controller recreates them.',
    registers,
  })
  return {
    unprocessed(pods) {
      const sorted = [...pods].toSorted(([, one], [, other]) => other - one)
      const rest = sorted.slice(maxNamespaces).reduce((sum, [, count]) => sum + count, 0)
      unprocessed.reset()
      for (const [namespace, count] of sorted.slice(0, maxNamespaces))
        unprocessed.set({ namespace }, count)
      if (rest > 0) unprocessed.set({ namespace: otherNamespaces }, rest)
    },
    evicted: () => evicted.inc(),
  }
}
