import { describe, expect, it } from 'vitest'
import { readClusterNode } from '../../../src/nodes/detect/cluster-node.ts'

/** A Node with what its kubelet reports. */
function node(
  [osImage, kubeletVersion, containerRuntimeVersion]: readonly [string, string, string],
  {
    labels = {},
    operatingSystem = 'linux',
  }: { labels?: Record<string, string>; operatingSystem?: string } = {},
) {
  const nodeInfo = { osImage, kubeletVersion, containerRuntimeVersion, operatingSystem }
  return { metadata: { name: 'n', labels }, status: { nodeInfo } }
}

describe('a node whose files berth nodes apply can write', () => {
  it.each([
    ['containerd', node(['Ubuntu 24.04.3 LTS', 'v1.34.1', 'containerd://2.1.4'])],
    ['k3s', node(['Ubuntu 24.04.3 LTS', 'v1.33.4+k3s1', 'containerd://2.0.5-k3s2'])],
    ['rke2', node(['SLE Micro 6.0', 'v1.33.4+rke2r1', 'containerd://2.0.5-k3s2'])],
    [
      'k3s',
      node([
        'Flatcar Container Linux by Kinvolk 4230.2.1 (Oklo)',
        'v1.33.4+k3s1',
        'containerd://2.0.5-k3s2',
      ]),
    ],
    ['crio', node(['Fedora CoreOS 42', 'v1.34.0', 'cri-o://1.34.0'])],
    [
      'openshift',
      node(['Red Hat Enterprise Linux CoreOS 418', 'v1.31.6', 'cri-o://1.31.6'], {
        labels: { 'node.openshift.io/os_id': 'rhel' },
      }),
    ],
    [
      'microk8s',
      node(['Ubuntu 24.04.3 LTS', 'v1.34.1', 'containerd://1.7.27'], {
        labels: { 'microk8s.io/cluster': 'true' },
      }),
    ],
  ])('is %s', (target, object) => {
    expect(readClusterNode(object)).toMatchObject({ target, instead: null })
  })
})

describe('a node with other files', () => {
  it.each([
    ['talos', node(['Talos (v1.12.4)', 'v1.34.4', 'containerd://2.1.6']), 'talosctl patch'],
    [
      'bottlerocket',
      node([
        'Bottlerocket OS 1.60.0 (aws-k8s-1.34)',
        'v1.34.2-eks-ecaa3a6',
        'containerd://2.2.4+bottlerocket',
      ]),
      'apiclient apply',
    ],
    [
      null,
      node(['Debian GNU/Linux 13 (trixie)', 'v1.34.1+k0s', 'containerd://1.7.28']),
      '/etc/k0s/containerd.d',
    ],
    [
      null,
      node([
        'Flatcar Container Linux by Kinvolk 4230.2.1 (Oklo)',
        'v1.34.1',
        'containerd://1.7.23',
      ]),
      '/usr/share/containerd/config.toml',
    ],
    [
      null,
      node(['Windows Server 2022 Datacenter', 'v1.34.1', 'containerd://1.7.28'], {
        operatingSystem: 'windows',
      }),
      'anubis_32000_',
    ],
    [
      null,
      node(['Windows Server 2022 Datacenter', 'v1.33.4+rke2r1', 'containerd://2.0.5-k3s2'], {
        operatingSystem: 'windows',
      }),
      'Windows has other paths',
    ],
  ])('has the target %s and the way to configure it', (target, object, instead) => {
    const read = readClusterNode(object)

    expect(read.target).toBe(target)
    expect(read.instead).toContain(instead)
  })
})
