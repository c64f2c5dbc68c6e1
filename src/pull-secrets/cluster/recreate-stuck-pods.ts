/** Evicts pods that a copy reached too late, so that their controllers recreate them, or records an Event about them. */
import { LRUCache } from 'lru-cache'
import type { KubeApi } from '../../kube/api-client.ts'
import { recordEventOnce } from '../../kube/event-recorder.ts'
import { evictPod } from '../../kube/evict.ts'
import type { AccountState } from '../objects.ts'
import { findStuckCause, type PresentCopy, type StuckCause, type StuckPod } from '../stuck-pods.ts'

export interface StuckPodHandler {
  /** Yields the pods of a namespace that have not been handled, with the cause. */
  causes(
    pods: Iterable<StuckPod>,
    copies: readonly PresentCopy[],
    accounts: ReadonlyMap<string, AccountState>,
  ): Iterable<StuckCause>
  /** Throws KubeError; 429 when a PodDisruptionBudget does not allow the eviction now. */
  handle(namespace: string, cause: StuckCause): Promise<'evict' | 'event'>
}

/** Enough for a large cluster where all pods are stuck; each entry takes some hundred bytes. */
const maxRemembered = 10_000

export function createStuckPodHandler(
  api: KubeApi,
  mode: 'report' | 'recreate',
  now: () => number,
): StuckPodHandler {
  const handled = new LRUCache<string, true>({ max: maxRemembered })
  /** When the first pod with a cause was evicted. A newer pod with the same cause shows that evicting does not help. */
  const firstEvictions = new LRUCache<string, number>({ max: maxRemembered })

  return {
    *causes(pods, copies, accounts) {
      for (const pod of pods) {
        const cause = findStuckCause(pod, copies, accounts.get(pod.account) ?? null)
        if (cause !== null && !handled.has(keyOf(cause))) yield cause
      }
    },
    async handle(namespace, cause) {
      const { id, obstacle } = cause
      const { name, uid, createdAt } = cause.pod
      const firstEviction = firstEvictions.get(id)
      const wasRecreated = firstEviction !== undefined && createdAt > firstEviction
      if (mode === 'recreate' && obstacle === null && !wasRecreated) {
        await evictPod(api, { namespace, name, uid })
        firstEvictions.set(id, firstEviction ?? now())
        handled.set(keyOf(cause), true)
        return 'evict'
      }
      const message = wasRecreated
        ? `${cause.message}; the pod was recreated once, which did not help`
        : cause.message
      const pod = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
      const event = { type: 'Warning', reason: 'PullSecretLate', message } as const
      await recordEventOnce(api, pod, event, new Date(now()))
      handled.set(keyOf(cause), true)
      return 'event'
    },
  }
}

function keyOf({ pod, id, kind }: StuckCause): string {
  return `${pod.uid}/${kind}/${id}`
}
