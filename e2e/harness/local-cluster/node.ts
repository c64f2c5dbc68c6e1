/** The node: containerd, the kubelet and kube-proxy. */
import { join } from 'node:path'
import { runOk } from '../command.ts'
import { freePort, freePorts } from '../ports.ts'
import type { ProcessRecord } from '../processes.ts'
import { exitReason, startProcess } from '../processes.ts'
import { waitFor } from '../wait.ts'
import { cniConfig, containerdConfig } from './containerd.ts'
import type { ControlPlane } from './control-plane.ts'
import { waitForKubectl } from './control-plane.ts'
import { network, nodeName, writeRunFile, writeRunJson } from './files.ts'

/** Starts containerd in a mount namespace (see `privateMounts`) and waits until it answers. */
export async function startContainerd(
  runDir: string,
  sandboxImage: string,
): Promise<ProcessRecord> {
  writeRunJson(runDir, 'cni/10-berth-e2e.conflist', cniConfig(runDir))
  const config = writeRunFile(runDir, 'containerd.toml', containerdConfig(runDir, sandboxImage))
  const script = writeRunFile(runDir, 'private-mounts.sh', privateMounts)
  const containerd = await startProcess(runDir, {
    name: 'containerd',
    command: 'unshare',
    args: ['--mount', '--propagation', 'private', 'sh', script, join(runDir, 'host'), config],
  })
  const ready = ['--address', containerdSocket(runDir), 'version']
  await waitFor('containerd', async () => (await runOk('ctr', ready)) !== '', {
    stopReason: exitReason(runDir, containerd),
  })
  return containerd
}

/** Starts the kubelet and kube-proxy next to containerd and waits until the node is ready. */
export async function startNode(plane: ControlPlane, containerd: ProcessRecord): Promise<void> {
  const { runDir, bin, pki } = plane
  const inside = [`--mount=/proc/${containerd.pid}/ns/mnt`, '--']
  const [health, metrics] = await freePorts(2)
  const proxyConfig = writeRunJson(runDir, 'kube-proxy.yaml', {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clusterCIDR: network.podRange,
    clientConnection: { kubeconfig: pki.kubeconfig },
    healthzBindAddress: `127.0.0.1:${health}`,
    metricsBindAddress: `127.0.0.1:${metrics}`,
    // Zeros leave the machine's connection tracking settings unchanged.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  })
  await startProcess(runDir, {
    name: 'kube-proxy',
    command: 'nsenter',
    args: [
      ...inside,
      join(bin, 'kube-proxy'),
      `--config=${proxyConfig}`,
      `--hostname-override=${nodeName}`,
    ],
  })
  const kubeletConfig = writeRunJson(runDir, 'kubelet.yaml', {
    ...kubeletSettings(runDir),
    port: await freePort(network.nodeAddress),
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: false },
      x509: { clientCAFile: pki.ca },
    },
  })
  const kubelet = await startProcess(runDir, {
    name: 'kubelet',
    command: 'nsenter',
    args: [
      ...inside,
      join(bin, 'kubelet'),
      `--kubeconfig=${pki.kubeconfig}`,
      `--config=${kubeletConfig}`,
      `--root-dir=${runDir}/kubelet`,
      `--cert-dir=${runDir}/pki/kubelet`,
      `--hostname-override=${nodeName}`,
      `--node-ip=${network.nodeAddress}`,
    ],
  })
  const ready = '{.status.conditions[?(@.type=="Ready")].status}'
  const get = ['get', 'node', nodeName, `--output=jsonpath=${ready}`]
  await waitForKubectl(plane, 'the node', get, { process: kubelet, output: /^True$/ })
}

function containerdSocket(runDir: string): string {
  return join(runDir, 'containerd.sock')
}

function kubeletSettings(runDir: string): Record<string, unknown> {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: network.nodeAddress,
    // 0 disables the health port.
    healthzPort: 0,
    authorization: { mode: 'AlwaysAllow' },
    containerRuntimeEndpoint: `unix://${containerdSocket(runDir)}`,
    podLogsDir: join(runDir, 'pod-logs'),
    volumePluginDir: join(runDir, 'volume-plugins'),
    resolvConf: writeRunFile(runDir, 'resolv.conf', 'nameserver 127.0.0.1\n'),
    // Works without systemd and with cgroups v1 and v2: each container has one group, and there is no hierarchy.
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    // kube-proxy --cleanup does not remove these chains.
    makeIPTablesUtilChains: false,
    // Do not evict the tests' pods because the developer's disk is full.
    evictionHard: {
      'memory.available': '1Mi',
      'nodefs.available': '1%',
      'imagefs.available': '1%',
    },
    // Short periods, because tests wait for retries and for status.
    nodeStatusUpdateFrequency: '5s',
    syncFrequency: '5s',
  }
}

/**
 * Runs containerd in a mount namespace where /var and /run are overlays over the run directory. The kubelet, containerd and
 * CNI have paths there that no setting moves (shim sockets, device plugins, CNI results, log links). The mounts disappear
 * with the last process of the namespace. `mount -n` does not write to the real /run.
 */
const privateMounts = `set -e
host=$1 config=$2
for dir in var run; do
  mkdir -p "$host/$dir/upper" "$host/$dir/work"
  mount -n -t overlay overlay -o "lowerdir=/$dir,upperdir=$host/$dir/upper,workdir=$host/$dir/work" "/$dir"
done
exec containerd --config "$config"
`
