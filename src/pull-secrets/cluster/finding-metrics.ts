/** Counts, for the metric, in how many namespaces a copy has a problem. */
import type { Config } from '../../config/config.ts'
import type { PullSecretMetrics } from '../../telemetry/pull-secret-metrics.ts'
import type { CopyFinding } from '../plan.ts'

export interface FindingMetrics {
  /** Replaces the findings of one namespace. */
  set(namespace: string, findings: readonly CopyFinding[]): void
}

export function createFindingMetrics(
  { copies }: Config['pullSecretCopies'],
  metrics: PullSecretMetrics,
): FindingMetrics {
  const byNamespace = new Map<string, readonly CopyFinding[]>()

  function publish(): void {
    const all = [...byNamespace.values()].flat()
    for (const { name } of copies) {
      const counts = { conflict: 0, invalid: 0, absent: 0 }
      for (const { copy, kind } of all) if (copy === name) counts[kind] += 1
      metrics.findings(name, counts)
    }
  }

  publish()
  return {
    set(namespace, findings) {
      const before = byNamespace.get(namespace) ?? []
      if (findings.length === 0 && before.length === 0) return
      if (findings.length === 0) byNamespace.delete(namespace)
      else byNamespace.set(namespace, findings)
      publish()
    },
  }
}
