/** Reads whether the owner of a pod replaces its pods only when a person decides. */
import { member } from '../json/json.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject, OwnerReference } from '../kube/object.ts'
import { controllerOf } from '../kube/pod-owner.ts'

const apiVersion = 'apps/v1'

/** Returns why only a person may restart the pods of this owner; null if Berth may. Throws KubeError. */
export async function readStrategyObstacle(
  api: KubeApi,
  namespace: string,
  { kind, name }: OwnerReference,
): Promise<string | null> {
  switch (kind) {
    case 'ReplicaSet': {
      const replicaSet = await api.get<KubeObject>(
        { apiVersion, resource: 'replicasets', namespace, name },
        { metadataOnly: true },
      )
      const parent = replicaSet === null ? null : controllerOf(replicaSet.metadata)
      if (parent?.kind !== 'Deployment' || !parent.apiVersion.startsWith('apps/')) return null
      const ref = { apiVersion, resource: 'deployments', namespace, name: parent.name }
      const deployment = await api.get<KubeObject>(ref)
      return member(member(deployment, 'spec'), 'paused') === true
        ? `Deployment ${parent.name} is paused`
        : null
    }
    case 'StatefulSet':
    case 'DaemonSet': {
      const resource = kind === 'StatefulSet' ? 'statefulsets' : 'daemonsets'
      const owner = await api.get<KubeObject>({ apiVersion, resource, namespace, name })
      // With this strategy, a new pod may belong to a newer revision.
      return member(member(member(owner, 'spec'), 'updateStrategy'), 'type') === 'OnDelete'
        ? `${kind} ${name} has the update strategy OnDelete`
        : null
    }
    default:
      return null
  }
}
