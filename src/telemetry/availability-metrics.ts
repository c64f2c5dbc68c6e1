/** The Prometheus metric of images that run: whether their registries still have them. */
import { Gauge, type Registry } from 'prom-client'

export interface ImageCount {
  readonly source: 'registry' | 'upstream'
  readonly state: 'available' | 'gone' | 'unknown'
  readonly images: number
}

export interface AvailabilityMetrics {
  /** Sets all counts; counts that are left out are reset. */
  images(counts: readonly ImageCount[]): void
}

/** Adds the metric to a registry; to be called once. */
export function createAvailabilityMetrics(registry: Registry): AvailabilityMetrics {
  const gauge = new Gauge({
    name: 'berth_running_images',
    help: 'Images that pods run, by their state on the registry that nodes pull from (registry) and on the registry they were copied from (upstream); reported by the replica that leads.',
    labelNames: ['source', 'state'] as const,
    registers: [registry],
  })
  return {
    images: (counts) => {
      gauge.reset()
      for (const { source, state, images } of counts) gauge.set({ source, state }, images)
    },
  }
}
