/** Detects which runtime a cluster node runs, from its Node object, without access to the node. */
import type { TargetName } from '../render/targets.ts'

/** The members of a Node that are read (core/v1, NodeStatus.NodeInfo). */
export interface NodeObject {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> }
  readonly status?: {
    readonly nodeInfo?: {
      readonly containerRuntimeVersion?: string
      readonly kubeletVersion?: string
      readonly osImage?: string
    }
  }
}

/** `berth nodes detect --cluster -o json` prints this shape. */
export interface ClusterNode {
  readonly node: string
  /** Null for a runtime without a target. */
  readonly target: TargetName | null
  readonly runtime: string
  readonly kubelet: string
  readonly os: string
}

export function readClusterNode({ metadata, status }: NodeObject): ClusterNode {
  const { containerRuntimeVersion = '', kubeletVersion = '', osImage = '' } = status?.nodeInfo ?? {}
  const { name, labels = {} } = metadata
  return {
    node: name,
    target: targetOf(containerRuntimeVersion, kubeletVersion, labels),
    runtime: containerRuntimeVersion,
    kubelet: kubeletVersion,
    os: osImage,
  }
}

function targetOf(
  runtime: string,
  kubelet: string,
  labels: Readonly<Record<string, string>>,
): TargetName | null {
  if (labels['microk8s.io/cluster'] === 'true') return 'microk8s'
  if (kubelet.includes('+rke2')) return 'rke2'
  if (kubelet.includes('+k3s') || runtime.includes('-k3s')) return 'k3s'
  if ('node.openshift.io/os_id' in labels) return 'openshift'
  if (runtime.startsWith('cri-o://')) return 'crio'
  return runtime.startsWith('containerd://') ? 'containerd' : null
}
