/** Evicts pods through the Eviction API, which honours PodDisruptionBudgets. */
import type { KubeApi } from './api-client.ts'
import { hasStatus } from './error.ts'

export interface PodRef {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/**
 * Evicts the pod with this UID. Returns false if it no longer exists, also when another pod has its name. Throws KubeError:
 * 429 when a PodDisruptionBudget does not allow the eviction now.
 */
export async function evictPod(
  api: Pick<KubeApi, 'create'>,
  { namespace, name, uid }: PodRef,
): Promise<boolean> {
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
      // A budget that does not allow the eviction now may not do so for hours.
      { maxRetries: 0 },
    )
    return true
  } catch (error) {
    // 409: the UID is another one.
    if (hasStatus(error, 404, 409)) return false
    throw error
  }
}
