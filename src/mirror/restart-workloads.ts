/** What mirroring asks of a cluster: which pods there are, and to start some of them anew. */
import type { Cluster, ConnectOptions } from '../kube/connect.ts'
import type { KubeObject } from '../kube/object.ts'
import {
  outdatedImages,
  type OwnerRef,
  ownerOf,
  restartPatch,
  type ServedImage,
} from './outdated-images.ts'

/** Which pods are looked at, and whether anything is changed. */
export interface RestartOptions {
  readonly connection: ConnectOptions
  readonly allNamespaces: boolean
  /** The only namespace to look at unless `allNamespaces`; the context's own when undefined. */
  readonly namespace: string | undefined
  readonly dryRun: boolean
  readonly signal: AbortSignal
}

/** Connects to the cluster, runs `work`, and closes the connection. Throws `kubeconfig-invalid`. */
async function withCluster<Result>(
  connection: ConnectOptions,
  work: (cluster: Cluster) => Promise<Result>,
): Promise<Result> {
  // Loading client-node takes half a second, so it is loaded only when a cluster is asked.
  const { connect } = await import('../kube/connect.ts')
  const cluster = await connect(connection)
  try {
    return await work(cluster)
  } finally {
    await cluster.close()
  }
}

/** The pods of the namespaces that are asked for: -A all, -n one, else the context's own. Throws `cluster-…`. */
async function listPods(
  { api, namespace: own }: Cluster,
  { allNamespaces, namespace = own, signal }: RestartOptions,
): Promise<readonly KubeObject[]> {
  const all = { apiVersion: 'v1', resource: 'pods' }
  const pods: KubeObject[] = []
  const where = allNamespaces ? all : { ...all, namespace }
  for await (const pod of api.list(where, {}, signal)) pods.push(pod)
  return pods
}

/** A workload that is to be restarted, and for which images. */
export interface WorkloadRestart {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly images: readonly string[]
}

const resources: Readonly<Record<string, string>> = {
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
  DaemonSet: 'daemonsets',
}

/** Restarts what runs an image that its mirror serves no longer; `onPlan` is told before anything is changed. */
export function restartWorkloads(
  options: RestartOptions,
  plan: {
    readonly served: readonly ServedImage[]
    readonly onPlan: (restarts: readonly WorkloadRestart[]) => void
  },
): Promise<void> {
  return withCluster(options.connection, async (cluster) => {
    const found = new Map<string, WorkloadRestart>()
    for (const pod of await listPods(cluster, options)) {
      const images = outdatedImages(pod, plan.served)
      const owner = images.length === 0 ? null : await workloadOf(cluster, pod)
      if (owner === null) continue
      const namespace = pod.metadata.namespace ?? 'default'
      const key = `${owner.kind} ${namespace}/${owner.name}`
      const before = found.get(key)?.images ?? []
      found.set(key, { ...owner, namespace, images: [...new Set([...before, ...images])] })
    }
    plan.onPlan([...found.values()])
    if (options.dryRun) return
    for (const { kind, namespace, name } of found.values()) {
      const where = { apiVersion: 'apps/v1', resource: resources[kind] ?? '', namespace, name }
      await cluster.api.patch(where, 'strategic', restartPatch(new Date()), {
        signal: options.signal,
      })
    }
  })
}

/** A Deployment's pods belong to a ReplicaSet of its. Pods that nobody would start again are left alone. */
async function workloadOf({ api }: Cluster, pod: KubeObject): Promise<OwnerRef | null> {
  const owner = ownerOf(pod)
  if (owner?.kind !== 'ReplicaSet') return owner !== null && owner.kind in resources ? owner : null
  const namespace = pod.metadata.namespace ?? 'default'
  const where = { apiVersion: 'apps/v1', resource: 'replicasets', namespace, name: owner.name }
  const above = ownerOf(await api.get(where, { metadataOnly: true }))
  return above !== null && above.kind in resources ? above : null
}
