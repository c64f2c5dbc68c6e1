/** Records an Event about each secret that has the name of a copy and is not one. */
import type { KubeApi } from '../../kube/api-client.ts'
import { recordEventOnce } from '../../kube/event-recorder.ts'
import type { ExistingSecret } from '../objects.ts'
import type { CopyFinding } from '../plan.ts'

export interface Conflict {
  readonly secret: string
  readonly uid: string
  readonly reason: string
}

export interface ConflictEvents {
  /** Returns the first conflict without an Event; null if there is none. */
  next(
    findings: readonly CopyFinding[],
    secrets: ReadonlyMap<string, ExistingSecret>,
  ): Conflict | null
  /** Throws KubeError. */
  record(namespace: string, conflict: Conflict): Promise<void>
}

export function createConflictEvents(api: KubeApi): ConflictEvents {
  const recorded = new Set<string>()
  return {
    next(findings, secrets) {
      for (const { kind, copy, reason } of findings) {
        const uid = secrets.get(copy)?.uid ?? ''
        if (kind === 'conflict' && !recorded.has(uid)) return { secret: copy, uid, reason }
      }
      return null
    },
    async record(namespace, { secret: name, uid, reason: message }) {
      const secret = { apiVersion: 'v1', kind: 'Secret', namespace, name, uid }
      const event = { type: 'Warning', reason: 'PullSecretConflict', message } as const
      await recordEventOnce(api, secret, event, new Date())
      recorded.add(uid)
    },
  }
}
