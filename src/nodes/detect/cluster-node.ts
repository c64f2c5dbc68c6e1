/** Detects which runtime a cluster node runs, from its Node object, without access to the node. */
import type { TargetName } from '../render/targets.ts'

/** The members of a Node that are read (core/v1, NodeStatus.NodeInfo). */
export interface NodeObject {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> }
  readonly status?: {
    readonly nodeInfo?: {
      readonly containerRuntimeVersion?: string
      readonly kubeletVersion?: string
      readonly operatingSystem?: string
      readonly osImage?: string
    }
  }
}

/** `berth nodes detect --cluster -o json` prints this shape. */
export interface ClusterNode {
  readonly node: string
  /** Null if `berth nodes` cannot configure the node. */
  readonly target: TargetName | null
  readonly runtime: string
  readonly kubelet: string
  readonly os: string
  /** What to do where `berth nodes apply` does not help; null where it does. */
  readonly instead: string | null
}

/** A distribution whose nodes do not read the files of plain containerd. */
interface Distribution {
  readonly target: TargetName | null
  readonly instead: string
}

const talos: Distribution = {
  target: 'talos',
  instead:
    'Talos has no files to edit: apply `berth nodes render --target talos` with `talosctl patch machineconfig`',
}

const bottlerocket: Distribution = {
  target: 'bottlerocket',
  instead:
    'Bottlerocket writes the files of containerd itself: apply `berth nodes render --target bottlerocket` with `apiclient apply`, or as user data',
}

/** docs.k0sproject.io, "Runtime": k0s merges /etc/k0s/containerd.d, and its containerd does not read /etc/containerd. */
const k0s: Distribution = {
  target: null,
  instead:
    'k0s does not read /etc/containerd: write `berth nodes render --target containerd --out /etc/k0s` on every node, and set config_path = "/etc/k0s/certs.d" in a file in /etc/k0s/containerd.d',
}

/** flatcar.org, "Use a custom containerd configuration". */
const flatcar: Distribution = {
  target: null,
  instead:
    'containerd on Flatcar reads /usr/share/containerd/config.toml, which cannot be changed: copy it to /etc/containerd/config.toml, set config_path there, select it with a drop-in of containerd.service, and then use `--target containerd`',
}

/** A directory name on Windows cannot have a colon, and containerd also looks for HOST_PORT_ (hostPaths in config_windows.go). */
const windows: Distribution = {
  target: null,
  instead:
    'Windows has other paths: copy `berth nodes render --target containerd --out DIR` to the config_path of containerd on the node, with directories such as anubis_32000_ for anubis:32000',
}

export function readClusterNode({ metadata, status }: NodeObject): ClusterNode {
  const { containerRuntimeVersion = '', kubeletVersion = '', osImage = '' } = status?.nodeInfo ?? {}
  const { name, labels = {} } = metadata
  const distribution = distributionOf(kubeletVersion, osImage, status?.nodeInfo?.operatingSystem)
  return {
    node: name,
    target:
      distribution === null
        ? targetOf(containerRuntimeVersion, kubeletVersion, labels)
        : distribution.target,
    runtime: containerRuntimeVersion,
    kubelet: kubeletVersion,
    os: osImage,
    instead: distribution?.instead ?? null,
  }
}

/** Windows first: K3s and RKE2 have Windows nodes, and Talos, Bottlerocket and k0s have none with other names. */
function distributionOf(kubelet: string, os: string, system: string | undefined) {
  if (system === 'windows' || os.startsWith('Windows')) return windows
  if (os.startsWith('Talos')) return talos
  if (os.startsWith('Bottlerocket')) return bottlerocket
  // K3s and RKE2 bring their own containerd, on Flatcar too.
  if (/\+(?:k3s|rke2)/.test(kubelet)) return null
  if (kubelet.includes('+k0s')) return k0s
  return os.startsWith('Flatcar') ? flatcar : null
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
