/** Reads whether the owner of a pod replaces its pods only when a person decides, or is replacing them now. */
import { member } from '../json/json.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject, OwnerReference } from '../kube/object.ts'
import { controllerOf } from '../kube/pod-owner.ts'

export interface StrategyObstacle {
  readonly reason: string
  /** True for a rollout, which ends without a person. */
  readonly isRollout: boolean
}

interface EvictedPod {
  readonly namespace: string
  readonly isReady: boolean
}

const apiVersion = 'apps/v1'

/** Returns why a pod of this owner should not be evicted now; null if it may be. Throws KubeError. */
export async function readStrategyObstacle(
  api: KubeApi,
  pod: EvictedPod,
  { kind, name }: OwnerReference,
): Promise<StrategyObstacle | null> {
  const { namespace } = pod
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
      if (member(member(deployment, 'spec'), 'paused') === true)
        return { reason: `Deployment ${parent.name} is paused`, isRollout: false }
      return rolloutObstacle(deployment, `Deployment ${parent.name}`, pod)
    }
    case 'StatefulSet':
    case 'DaemonSet': {
      const resource = kind === 'StatefulSet' ? 'statefulsets' : 'daemonsets'
      const owner = await api.get<KubeObject>({ apiVersion, resource, namespace, name })
      // With this strategy, a new pod may belong to a newer revision.
      if (member(member(member(owner, 'spec'), 'updateStrategy'), 'type') === 'OnDelete')
        return { reason: `${kind} ${name} has the update strategy OnDelete`, isRollout: false }
      return rolloutObstacle(owner, `${kind} ${name}`, pod)
    }
    default:
      return null
  }
}

/** Returns an obstacle while pods of the owner are replaced, or others than this one are not available. */
function rolloutObstacle(
  owner: KubeObject | null,
  title: string,
  { isReady }: EvictedPod,
): StrategyObstacle | null {
  const spec = member(owner, 'spec')
  const status = member(owner, 'status')
  const isObserved =
    count(status, 'observedGeneration') >= count(member(owner, 'metadata'), 'generation')
  // The pods below the partition of a StatefulSet keep the old revision.
  const partition = count(member(member(spec, 'updateStrategy'), 'rollingUpdate'), 'partition')
  const wanted =
    Math.max(count(spec, 'replicas'), count(status, 'replicas')) -
    partition +
    count(status, 'desiredNumberScheduled')
  const updated = count(status, 'updatedReplicas') + count(status, 'updatedNumberScheduled')
  if (!isObserved || updated < wanted) return { reason: `${title} is rolling out`, isRollout: true }
  const unavailable = count(status, 'unavailableReplicas') + count(status, 'numberUnavailable')
  return unavailable > (isReady ? 0 : 1)
    ? { reason: `${title} has pods that are not available`, isRollout: true }
    : null
}

/** The API server leaves out zeros. */
function count(object: unknown, name: string): number {
  const value = member(object, name)
  return typeof value === 'number' ? value : 0
}
