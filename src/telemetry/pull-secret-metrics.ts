/** The Prometheus metrics of pull-secret copying. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface PullSecretMetrics {
  readonly wrote: (kind: string, outcome: 'done' | 'failed') => void
  /** Sets the number of namespaces in which a copy is in each state. */
  readonly findings: (copy: string, counts: Readonly<Record<string, number>>) => void
}

/** Registers the metrics. Metrics of the same names are replaced: the loop starts again with each reloaded config. */
export function createPullSecretMetrics(registry: Registry): PullSecretMetrics {
  const registers = [registry]
  for (const name of names) registry.removeSingleMetric(name)
  const writes = new Counter({
    name: names[0],
    help: 'Writes for pull secrets: kind create, update, replace, remove, link, evict or event.',
    labelNames: ['kind', 'outcome'] as const,
    registers,
  })
  const findings = new Gauge({
    name: names[1],
    help: 'Namespaces in which a copy of a pull secret is not as configured: conflict, invalid, absent or refused.',
    labelNames: ['copy', 'state'] as const,
    registers,
  })
  return {
    wrote: (kind, outcome) => writes.inc({ kind, outcome }),
    findings: (copy, counts) => {
      for (const [state, count] of Object.entries(counts)) findings.set({ copy, state }, count)
    },
  }
}

const names = ['berth_pull_secret_writes_total', 'berth_pull_secret_findings'] as const
