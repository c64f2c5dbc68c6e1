/** The Prometheus metrics of image conflicts. They have no labels, because owners come from pods. */
import { Gauge, type Registry } from 'prom-client'

export interface ConflictMetrics {
  /** Sets the number of owners that recreate pods now. */
  conflicts(owners: number): void
  /** Sets the number of owners whose pods the webhook leaves unchanged. */
  left(owners: number): void
}

/** Adds the metrics to a registry; to be called once. */
export function createConflictMetrics(registry: Registry): ConflictMetrics {
  const gauge = new Gauge({
    name: 'berth_image_conflicts',
    help: 'Owners that recreated pods in the last 10 minutes because Berth changed their images; reported by the replica that leads.',
    registers: [registry],
  })
  const left = new Gauge({
    name: 'berth_image_conflicts_left',
    help: 'Owners in the list of conflicts, whose pods the webhook leaves unchanged (conflicts: leave); reported by the replica that leads.',
    registers: [registry],
  })
  return { conflicts: (owners) => gauge.set(owners), left: (owners) => left.set(owners) }
}
