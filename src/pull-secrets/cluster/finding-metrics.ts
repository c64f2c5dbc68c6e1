/** Counts, for the metric, in how many namespaces a copy has a problem. */
import type { Config } from '../../config/config.ts'
import type { PullSecretMetrics } from '../../telemetry/pull-secret-metrics.ts'
import { type CopyFinding, findingKinds } from '../plan.ts'

export interface FindingMetrics {
  /** Replaces the findings of one namespace. */
  set(namespace: string, findings: readonly CopyFinding[]): void
}

export function createFindingMetrics(
  { copies }: Config['pullSecretCopies'],
  metrics: Pick<PullSecretMetrics, 'findings'>,
): FindingMetrics {
  /** `copy/kind` of each finding, once, however many objects of the namespace have it. */
  const byNamespace = new Map<string, ReadonlySet<string>>()
  const counts = new Map<string, number>()

  function add(keys: Iterable<string>, difference: number): void {
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + difference)
  }

  function publish(): void {
    for (const { name } of copies) {
      const entries = findingKinds.map((kind) => [kind, counts.get(`${name}/${kind}`) ?? 0])
      metrics.findings(name, Object.fromEntries(entries) as Readonly<Record<string, number>>)
    }
  }

  publish()
  return {
    set(namespace, findings) {
      const before = byNamespace.get(namespace) ?? new Set()
      const keys = new Set(findings.map(({ copy, kind }) => `${copy}/${kind}`))
      if (keys.size === 0 && before.size === 0) return
      if (keys.size === 0) byNamespace.delete(namespace)
      else byNamespace.set(namespace, keys)
      add(before, -1)
      add(keys, 1)
      publish()
    },
  }
}
