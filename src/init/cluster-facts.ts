/** Reads from a cluster what a config depends on: images, platforms, operators, and the registry add-on of MicroK8s. */
import { knownConflicts } from '../config/known-conflicts.ts'
import { conditionHolds } from '../decision/fallback/pod-condition.ts'
import { isPlatform } from '../decision/platforms/platform.ts'
import { readPodContext } from '../decision/pod/pod-context.ts'
import { isObject, member, textMember } from '../json/json.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject } from '../kube/object.ts'
import { requestedImages } from '../manifests/manifest-images.ts'

export interface ClusterFacts {
  /** What pods ask for, each once. */
  readonly images: ReadonlySet<string>
  /** Of the nodes, sorted. */
  readonly platforms: readonly string[]
  /** Operators that compare the images of their pods. */
  readonly operators: readonly string[]
  /** The endpoint of the registry add-on of MicroK8s, at which pods and this machine reach it; null if there is none. */
  readonly microk8sRegistry: string | null
}

/** Throws KubeError. */
export async function readClusterFacts(api: KubeApi): Promise<ClusterFacts> {
  const images = new Set<string>()
  const operators = new Set<string>()
  for await (const pod of api.list<KubeObject>({ apiVersion: 'v1', resource: 'pods' })) {
    for (const image of requestedImages(pod)) images.add(image)
    const context = readPodContext(pod, pod.metadata.namespace ?? '')
    for (const { operator, row } of knownConflicts())
      if (conditionHolds(row.when, context)) operators.add(operator)
  }
  const platforms = new Set<string>()
  const addresses: string[] = []
  for await (const node of api.list<KubeObject>({ apiVersion: 'v1', resource: 'nodes' })) {
    const status = member(node, 'status')
    const info = member(status, 'nodeInfo')
    const platform = `${textMember(info, 'operatingSystem')}/${textMember(info, 'architecture')}`
    if (isPlatform(platform)) platforms.add(platform)
    addresses.push(...internalAddresses(status))
  }
  return {
    images,
    platforms: [...platforms].sort(),
    operators: [...operators].sort(),
    microk8sRegistry: await findMicrok8sRegistry(api, addresses),
  }
}

function internalAddresses(status: unknown): string[] {
  const addresses = member(status, 'addresses')
  return (Array.isArray(addresses) ? addresses : [])
    .filter((each: unknown) => isObject(each) && each['type'] === 'InternalIP')
    .map((each: unknown) => textMember(each, 'address'))
}

/** The add-on has a Service of the type NodePort (microk8s-core-addons, addons/registry/registry.yaml). */
async function findMicrok8sRegistry(
  api: KubeApi,
  addresses: readonly string[],
): Promise<string | null> {
  const service = await api.get({
    apiVersion: 'v1',
    resource: 'services',
    namespace: 'container-registry',
    name: 'registry',
  })
  const ports = member(member(service, 'spec'), 'ports')
  const isOpen =
    Array.isArray(ports) && ports.some((port: unknown) => member(port, 'nodePort') === 32_000)
  const [address] = addresses
  if (!isOpen || address === undefined) return null
  return `http://${address.includes(':') ? `[${address}]` : address}:32000`
}
