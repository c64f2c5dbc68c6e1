/** The Prometheus metric of image conflicts. It has no labels, because owners come from pods. */
import { Gauge, type Registry } from 'prom-client'

export interface ConflictMetrics {
  /** Sets the number of owners that recreate pods now. */
  conflicts(owners: number): void
}

/** Adds the metric to a registry; to be called once. */
export function createConflictMetrics(registry: Registry): ConflictMetrics {
  const gauge = new Gauge({
    name: 'berth_image_conflicts',
    help: 'Owners that recreated pods in the last 10 minutes because Berth changed their images; reported by the replica that leads.',
    registers: [registry],
  })
  return { conflicts: (owners) => gauge.set(owners) }
}
