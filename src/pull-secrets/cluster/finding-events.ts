/** Records an Event about each object that keeps a copy from being as configured. */
import { LRUCache } from 'lru-cache'
import type { KubeApi } from '../../kube/api-client.ts'
import { recordEventOnce } from '../../kube/event-recorder.ts'
import type { CopyFinding, FindingKind } from '../plan.ts'

export interface FindingEvent {
  /** The same for all Events about one object and one reason. */
  readonly id: string
  readonly finding: CopyFinding
  /** Throws KubeError. */
  readonly record: () => Promise<void>
}

/** The Events' reasons. Problems of sources get none: the log and the metric report them once for all namespaces. */
const reasons: Readonly<Partial<Record<FindingKind, string>>> = {
  conflict: 'PullSecretConflict',
  refused: 'PullSecretRefused',
}

/** The API server deletes an Event after an hour (kube-apiserver, --event-ttl). */
const eventTtlMs = 3_600_000

/** Enough for a large cluster where each namespace has a problem. */
const maxRemembered = 10_000

/** Returns a function that lists the Events to record for the findings of a namespace, each reason once an hour. */
export function createFindingEvents(
  api: Pick<KubeApi, 'create'>,
): (namespace: string, findings: readonly CopyFinding[]) => readonly FindingEvent[] {
  const recorded = new LRUCache<string, true>({ max: maxRemembered, ttl: eventTtlMs })

  return (namespace, findings) =>
    findings.flatMap((finding): FindingEvent[] => {
      const { kind, object, reason: message } = finding
      const reason = reasons[kind]
      if (reason === undefined || object === null) return []
      const { kind: objectKind, name, uid } = object
      // Numbers in a reason, such as those of a quota, change with each attempt.
      const about = message.replaceAll(/\d+/g, '#')
      const id = [namespace, objectKind, name, uid, reason, about].join('/')
      if (recorded.has(id)) return []
      const record = async () => {
        const involved = { apiVersion: 'v1', kind: objectKind, namespace, name, uid }
        await recordEventOnce(api, involved, { type: 'Warning', reason, message }, new Date())
        recorded.set(id, true)
      }
      return [{ id, finding, record }]
    })
}
