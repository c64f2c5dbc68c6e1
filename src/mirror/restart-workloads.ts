/** Restarts the workloads whose pods run an image that their mirror no longer serves. */
import type { Cluster, ConnectOptions } from '../kube/connect.ts'
import type { KubeObject, OwnerReference } from '../kube/object.ts'
import { outdatedImages, type ServedImage } from './outdated-images.ts'

export interface RestartOptions {
  readonly connection: ConnectOptions
  readonly allNamespaces: boolean
  /** The namespace unless `allNamespaces`; undefined for that of the context. */
  readonly namespace: string | undefined
  readonly dryRun: boolean
  readonly signal: AbortSignal
}

/** A workload to restart, and the images that are the reason. */
export interface WorkloadRestart {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly images: readonly string[]
}

/** Resource names by kind. */
const resources: Readonly<Record<string, string>> = {
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
  DaemonSet: 'daemonsets',
}

/** Calls `onPlan` with the workloads, then restarts them unless it is a dry run. Throws `kubeconfig-invalid`, `cluster-…`. */
export async function restartWorkloads(
  options: RestartOptions,
  plan: {
    readonly served: readonly ServedImage[]
    readonly onPlan: (restarts: readonly WorkloadRestart[]) => void
  },
): Promise<void> {
  // Loading the Kubernetes client takes half a second.
  const { connect } = await import('../kube/connect.ts')
  const cluster = await connect(options.connection)
  try {
    const restarts = await findRestarts(cluster, options, plan.served)
    plan.onPlan(restarts)
    if (options.dryRun) return
    for (const { kind, namespace, name } of restarts) {
      const ref = { apiVersion: 'apps/v1', resource: resources[kind] ?? '', namespace, name }
      const { signal } = options
      await cluster.api.patch(ref, 'strategic', restartPatch(new Date()), { signal })
    }
  } finally {
    await cluster.close()
  }
}

async function findRestarts(
  cluster: Cluster,
  { allNamespaces, namespace = cluster.namespace, signal }: RestartOptions,
  served: readonly ServedImage[],
): Promise<readonly WorkloadRestart[]> {
  const allPods = { apiVersion: 'v1', resource: 'pods' }
  const ref = allNamespaces ? allPods : { ...allPods, namespace }
  const restarts = new Map<string, WorkloadRestart>()
  for await (const pod of cluster.api.list(ref, {}, signal)) {
    const images = outdatedImages(pod, served)
    const workload = images.length === 0 ? null : await workloadOf(cluster, pod)
    if (workload === null) continue
    const { kind, name } = workload
    const podNamespace = pod.metadata.namespace ?? 'default'
    const key = `${kind} ${podNamespace}/${name}`
    const others = restarts.get(key)?.images ?? []
    const allImages = [...new Set([...others, ...images])]
    restarts.set(key, { kind, namespace: podNamespace, name, images: allImages })
  }
  return [...restarts.values()]
}

/** Returns the Deployment, StatefulSet or DaemonSet of a pod; null for a pod that nothing would recreate. */
async function workloadOf({ api }: Cluster, pod: KubeObject): Promise<OwnerReference | null> {
  const owner = controllerOf(pod)
  if (owner?.kind !== 'ReplicaSet') return owner !== null && owner.kind in resources ? owner : null
  const namespace = pod.metadata.namespace ?? 'default'
  const ref = { apiVersion: 'apps/v1', resource: 'replicasets', namespace, name: owner.name }
  const replicaSet = await api.get(ref, { metadataOnly: true })
  const parent = replicaSet === null ? null : controllerOf(replicaSet)
  return parent !== null && parent.kind in resources ? parent : null
}

function controllerOf({ metadata }: KubeObject): OwnerReference | null {
  return metadata.ownerReferences?.find(({ controller }) => controller === true) ?? null
}

/** The patch of `kubectl rollout restart` (kubectl, polymorphichelpers/objectrestarter.go). */
function restartPatch(now: Date): object {
  const restartedAt = now.toISOString().replace(/\.[0-9]{3}Z$/, 'Z')
  const annotations = { 'kubectl.kubernetes.io/restartedAt': restartedAt }
  return { spec: { template: { metadata: { annotations } } } }
}
