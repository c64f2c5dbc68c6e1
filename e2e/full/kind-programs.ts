/** The versions of a running kind cluster. */
import { kindVersion } from '../harness/kind-cluster.ts'
import { kubectlOk } from '../harness/kubectl.ts'

type NodeInfo = {
  status: { nodeInfo: { kubeletVersion: string; containerRuntimeVersion: string } }
}

/** Returns kind, Kubernetes and containerd with their versions, and the number of nodes. */
export async function kindPrograms(): Promise<string[]> {
  const { items } = JSON.parse(await kubectlOk(['get', 'nodes', '-o', 'json'])) as {
    items: NodeInfo[]
  }
  const [first] = items
  if (first === undefined) throw new Error('the cluster has no node')
  const { kubeletVersion, containerRuntimeVersion } = first.status.nodeInfo
  const image =
    process.env['BERTH_E2E_KIND_IMAGE'] === undefined ? '' : ' on a node image of our own'
  return [
    `kind ${await kindVersion()}${image}`,
    `Kubernetes ${kubeletVersion}`,
    containerRuntimeVersion.replace('://', ' '),
    `${items.length} nodes`,
  ]
}
