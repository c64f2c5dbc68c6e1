/** Pods that a copy reached too late: told of by an Event, or evicted so that their owners make them again. */
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import { recordEventOnce } from '../../kube/event-recorder.ts'
import { type StuckCause, causeOf, type PresentCopy, type StuckPod } from '../stuck-pods.ts'
import type { AccountState } from '../objects.ts'

export interface StuckPods {
  /** The first pod of a namespace for which something has to be done; null when there is none. */
  next(
    pods: Iterable<StuckPod>,
    copies: readonly PresentCopy[],
    accounts: ReadonlyMap<string, AccountState>,
  ): StuckCause | null
  /** Throws KubeError; 429 when a PodDisruptionBudget does not allow it now. */
  treat(namespace: string, cause: StuckCause): Promise<'evict' | 'event'>
}

/** Pods of a whole big cluster that hang at once; each entry is some hundred bytes. */
const remembered = 10_000

export function createStuckPods(
  api: KubeApi,
  mode: 'report' | 'recreate',
  now: () => number,
): StuckPods {
  const treated = new Set<string>()
  /** By cause: when the first pod was evicted. What was made after that, and is stuck again, is not helped that way. */
  const evicted = new Map<string, number>()

  function remember(cause: StuckCause): void {
    treated.add(keyOf(cause))
    for (const key of treated) {
      if (treated.size <= remembered) break
      treated.delete(key)
    }
    for (const key of evicted.keys()) {
      if (evicted.size <= remembered) break
      evicted.delete(key)
    }
  }

  return {
    next(pods, copies, accounts) {
      for (const pod of pods) {
        const cause = causeOf(pod, copies, accounts.get(pod.account) ?? null)
        if (cause !== null && !treated.has(keyOf(cause))) return cause
      }
      return null
    },
    async treat(namespace, cause) {
      const { pod, id, message, obstacle } = cause
      const first = evicted.get(id)
      const isAgain = first !== undefined && pod.createdAt > first
      if (mode === 'recreate' && obstacle === null && !isAgain) {
        await evict(api, namespace, pod)
        evicted.set(id, first ?? now())
        remember(cause)
        return 'evict'
      }
      const about = { apiVersion: 'v1', kind: 'Pod', namespace, name: pod.name, uid: pod.uid }
      const said = isAgain ? `${message}; it was made again once, which did not help` : message
      await recordEventOnce(
        api,
        about,
        { type: 'Warning', reason: 'PullSecretLate', message: said },
        new Date(now()),
      )
      remember(cause)
      return 'event'
    },
  }
}

function keyOf({ pod, id, kind }: StuckCause): string {
  return `${pod.uid}/${kind}/${id}`
}

/** Through the API that honours disruption budgets; only this very pod, not one that has its name by now. */
async function evict(api: KubeApi, namespace: string, { name, uid }: StuckPod): Promise<void> {
  const metadata = { name, namespace }
  try {
    await api.create(
      { apiVersion: 'v1', resource: 'pods', subresource: 'eviction', ...metadata },
      {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata,
        deleteOptions: { preconditions: { uid } },
      },
    )
  } catch (error) {
    // Gone, or another one already.
    if (!hasStatus(error, 404, 409)) throw error
  }
}
