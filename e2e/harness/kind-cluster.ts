/**
 * The kind provider, for machines with Docker: a control plane and a worker, both of which run pods. Registries and webhooks
 * are processes of this machine, as with the local provider. They listen on the gateway address of kind's Docker network,
 * which the nodes, the pods and this machine all reach. Routes on this machine lead to the pods, so it needs root.
 * BERTH_E2E_KIND_IMAGE sets the node image; default: that of kind.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type ApiServerConfig, createApiServerConfig } from './api-server-config.ts'
import { buildPause } from './go-programs.ts'
import type { Cluster, ClusterNode } from './cluster.ts'
import { run, runOk } from './command.ts'
import { kubectlOn } from './kubectl.ts'
import { writeRunFile, writeRunJson } from './local-cluster/files.ts'
import { blockOtherHosts } from './node-hosts.ts'
import { processRecords, stopProcess } from './processes.ts'

const name = 'berth-e2e'
const controlPlane = `${name}-control-plane`
/** The file with the ranges of the pods' addresses, to which routes lead. */
const routesFile = 'pod-routes.json'

const nodeNames = [controlPlane, `${name}-worker`]

/** Where the control plane node, and the API server in it, have the files of `createApiServerConfig`. */
const apiServerDirectory = '/etc/berth-e2e'

/** Creates the kind cluster. */
export async function startKindCluster(runDir: string): Promise<Cluster> {
  const nodes = nodeNames.map((node) => createNodeDirectories(runDir, node))
  const kubeconfig = join(runDir, 'kubeconfig')
  const apiServer = await createApiServerConfig(runDir, apiServerDirectory)
  const config = writeRunJson(runDir, 'kind.yaml', clusterConfig(nodes, apiServer))
  const image = process.env['BERTH_E2E_KIND_IMAGE']
  const create = ['create', 'cluster', '--name', name, '--wait', '180s']
  if (image !== undefined) create.push('--image', image)
  await runOk('kind', [...create, '--config', config, '--kubeconfig', kubeconfig])
  // After the start, which may have to pull images.
  blockOtherHosts({ nodes })
  await addPodRoutes(runDir, kubeconfig)
  const address = await gateway()
  return {
    provider: 'kind',
    runDir,
    kubeconfig,
    kubectl: 'kubectl',
    nodes,
    address,
    podAddress: address,
    pauseBinary: await buildPause(),
    auditLog: apiServer.auditLog,
    webhookClient: apiServer.webhookClient,
    kubeletClient: await copyKubeletClient(runDir),
  }
}

/** Deletes the kind cluster and stops the processes of the tests. */
export async function stopKindCluster(runDir: string): Promise<void> {
  for (const record of processRecords(runDir)) await stopProcess(runDir, record)
  await removePodRoutes(runDir)
  await runOk('kind', ['delete', 'cluster', '--name', name])
  rmSync(runDir, { recursive: true, force: true })
}

/** Stops a node as a power failure does: nothing on it can say goodbye. */
export async function killNode(node: string): Promise<void> {
  await runOk('docker', ['kill', node])
}

/** Starts a stopped node again. */
export async function startNode(node: string): Promise<void> {
  await runOk('docker', ['start', node])
}

/** Kills the process of a container, as the kernel does when memory runs out. */
export async function killContainerOnNode(node: string, id: string): Promise<void> {
  const kill = ['ctr', '--namespace', 'k8s.io', 'tasks', 'kill', '--signal', 'SIGKILL', id]
  await runOk('docker', ['exec', node, ...kill])
}

/** Returns the version of kind, such as `v0.33.0`. */
export async function kindVersion(): Promise<string> {
  const output = await runOk('kind', ['version'])
  return output.split(' ')[1] ?? output
}

function createNodeDirectories(runDir: string, node: string): ClusterNode {
  const directory = (kind: string) => {
    const path = join(runDir, 'nodes', node, kind)
    mkdirSync(path, { recursive: true })
    // Pods without capabilities write here as the root user of the node, who may not be the user of the tests.
    chmodSync(path, 0o777)
    return path
  }
  return { name: node, certsDir: directory('certs.d'), stateDir: directory('state') }
}

function clusterConfig(nodes: readonly ClusterNode[], apiServer: ApiServerConfig): object {
  return {
    apiVersion: 'kind.x-k8s.io/v1alpha4',
    kind: 'Cluster',
    nodes: nodes.map(({ name: node, certsDir, stateDir }) => ({
      role: node === controlPlane ? 'control-plane' : 'worker',
      extraMounts: [
        { hostPath: certsDir, containerPath: '/etc/containerd/certs.d' },
        { hostPath: stateDir, containerPath: '/var/lib/berth' },
        ...(node === controlPlane
          ? [{ hostPath: apiServer.directory, containerPath: apiServerDirectory }]
          : []),
      ],
    })),
    // In every version of containerd, this form has an effect, and the default of 2.2 and later has none (docs/nodes.md).
    containerdConfigPatches: [
      `version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
`,
    ],
    kubeadmConfigPatches: [
      {
        kind: 'ClusterConfiguration',
        apiServer: {
          extraArgs: apiServer.flags,
          extraVolumes: [
            {
              name: 'berth-e2e',
              hostPath: apiServerDirectory,
              mountPath: apiServerDirectory,
              pathType: 'Directory',
            },
          ],
        },
      },
      // No taints: the control plane runs pods too, so that they are spread over two nodes.
      { kind: 'InitConfiguration', nodeRegistration: { taints: [] } },
      {
        kind: 'KubeletConfiguration',
        failCgroupV1: false,
        // Short periods, because tests wait for retries and for status.
        nodeStatusUpdateFrequency: '5s',
        syncFrequency: '5s',
      },
    ].map((patch) => JSON.stringify(patch)),
  }
}

type NodeObject = {
  spec: { podCIDR: string }
  status: { addresses: { type: string; address: string }[] }
}

/** Leads this machine to the pods through their nodes: tests send requests to single replicas. */
async function addPodRoutes(runDir: string, kubeconfig: string): Promise<void> {
  const access = { kubectl: 'kubectl', kubeconfig, runDir }
  const { stdout } = await kubectlOn(access, ['get', 'nodes', '--output=json'])
  const { items } = JSON.parse(stdout) as { items: NodeObject[] }
  writeRunJson(
    runDir,
    routesFile,
    items.map(({ spec }) => spec.podCIDR),
  )
  for (const { spec, status } of items) {
    const node = status.addresses.find(({ type }) => type === 'InternalIP')?.address ?? ''
    await runOk('ip', ['route', 'replace', spec.podCIDR, 'via', node])
  }
}

async function removePodRoutes(runDir: string): Promise<void> {
  const file = join(runDir, routesFile)
  if (!existsSync(file)) return
  const ranges = JSON.parse(readFileSync(file, 'utf8')) as string[]
  // This fails if the route was not added, or was removed with Docker's network.
  for (const range of ranges) await run('ip', ['route', 'delete', range])
}

async function copyKubeletClient(runDir: string): Promise<Cluster['kubeletClient']> {
  const copy = async (extension: string) => {
    const file = `/etc/kubernetes/pki/apiserver-kubelet-client.${extension}`
    const content = await runOk('docker', ['exec', controlPlane, 'cat', file])
    return writeRunFile(runDir, `pki/kubelet-client.${extension}`, content)
  }
  return { certificate: await copy('crt'), key: await copy('key') }
}

async function gateway(): Promise<string> {
  const format = '{{range .IPAM.Config}}{{.Gateway}} {{end}}'
  const addresses = await runOk('docker', ['network', 'inspect', 'kind', '--format', format])
  const address = addresses.split(' ').find((candidate) => /^\d+(\.\d+){3}$/.test(candidate))
  if (address === undefined)
    throw new Error(`the Docker network of kind has no IPv4 gateway: ${addresses}`)
  return address
}
