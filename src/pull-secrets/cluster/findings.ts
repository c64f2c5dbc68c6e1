/** What is wrong in namespaces and cannot be written right: counted for the metric, told of by Events. */
import type { Config } from '../../config/config.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { recordEventOnce } from '../../kube/event-recorder.ts'
import type { ExistingSecret } from '../objects.ts'
import type { CopyFinding, WantedCopy } from '../plan.ts'
import type { PresentCopy } from '../stuck-pods.ts'
import type { PullSecretMetrics } from '../../telemetry/pull-secret-metrics.ts'

/** One thing to do in a namespace. */
export interface Task {
  readonly kind: string
  readonly about: Readonly<Record<string, string>>
  /** True when `run` waits for its turn itself, once for each request. */
  readonly paces?: boolean
  /** Gives what was done, for the metric. */
  run(): Promise<string>
}

/** Counts, for the metric, in how many namespaces something is wrong. */
export function createFindings(
  { copies }: Config['pullSecretCopies'],
  metrics: PullSecretMetrics,
): { set(namespace: string, found: readonly CopyFinding[]): void } {
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
    set(namespace: string, found: readonly CopyFinding[]): void {
      const before = byNamespace.get(namespace) ?? []
      if (found.length === 0 && before.length === 0) return
      if (found.length === 0) byNamespace.delete(namespace)
      else byNamespace.set(namespace, found)
      publish()
    },
  }
}

/** Tells once of each foreign secret that stands where a copy belongs. */
export function createConflicts(api: KubeApi): {
  next(
    namespace: string,
    findings: readonly CopyFinding[],
    secrets: ReadonlyMap<string, ExistingSecret>,
  ): Task | null
} {
  const told = new Set<string>()
  return {
    next(namespace, findings, secrets) {
      for (const { kind, copy, reason } of findings) {
        const uid = secrets.get(copy)?.uid ?? ''
        if (kind !== 'conflict' || told.has(uid)) continue
        return {
          kind: 'event',
          about: { secret: copy, reason },
          run: async () => {
            const about = { apiVersion: 'v1', kind: 'Secret', namespace, name: copy, uid }
            const event = {
              type: 'Warning',
              reason: 'PullSecretConflict',
              message: reason,
            } as const
            await recordEventOnce(api, about, event, new Date())
            told.add(uid)
            return 'event'
          },
        }
      }
      return null
    },
  }
}

/** The copies that stand in a namespace, and what they are good for. */
export function presentCopies(
  wanted: readonly WantedCopy[],
  secrets: ReadonlyMap<string, ExistingSecret>,
): PresentCopy[] {
  return wanted.flatMap(({ settings: { name }, content }) => {
    const there = secrets.get(name)
    if (content?.kind !== 'good' || there?.kind !== 'copy' || there.hash !== content.hash) return []
    return [{ name, keys: content.keys, hash: content.hash, writtenAt: there.writtenAt }]
  })
}
