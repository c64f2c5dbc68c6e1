/** Which controller recreates a pod that is evicted. */
import type { ObjectMeta, OwnerReference } from './object.ts'

/** Returns the owner that manages the pod; null for a bare pod. */
export function controllerOf({
  ownerReferences = [],
}: Pick<ObjectMeta, 'ownerReferences'>): OwnerReference | null {
  return ownerReferences.find(({ controller }) => controller === true) ?? null
}

/** Returns why an eviction would not lead to a better pod; null if the owner recreates the pod. */
export function recreateObstacle(
  owner: Pick<OwnerReference, 'kind' | 'name'> | null,
): string | null {
  switch (owner?.kind) {
    case undefined:
      return 'the pod has no controller: delete and recreate it'
    // The owner of the mirror pod of a static pod (kubelet, pkg/kubelet/pod/mirror_client.go).
    case 'Node':
      return `the pod is a static pod of node ${owner?.name}: change its manifest there`
    // An evicted pod counts as a failure of its Job, which may be the last one that backoffLimit allows.
    case 'Job':
      return `Job ${owner?.name} would count an eviction as a failure: delete the pod`
    default:
      return null
  }
}
