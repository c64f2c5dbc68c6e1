/** The local provider: Kubernetes with one node as processes of this machine. */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createApiServerConfig } from './api-server-config.ts'
import type { Cluster } from './cluster.ts'
import { buildKubernetes, buildPause } from './go-programs.ts'
import { pushImage } from './images.ts'
import { createContainerGroup, removeContainers } from './local-cluster/containers.ts'
import { startApiServer, startControllers } from './local-cluster/control-plane.ts'
import { network, nodeName } from './local-cluster/files.ts'
import { addNodeAddress, recordHostState, restoreHostState } from './local-cluster/host-state.ts'
import { startContainerd, startNode } from './local-cluster/node.ts'
import { createPki } from './local-cluster/pki.ts'
import { blockOtherHosts, setNodeHost } from './node-hosts.ts'
import { freePort } from './ports.ts'
import type { ProcessRecord } from './processes.ts'
import { killProcess, processRecords } from './processes.ts'
import { startRegistry } from './registry.ts'

/** The registry of the sandbox image: a reserved name, which only the node's hosts.toml knows. */
const sandboxHost = 'sandbox.berth-e2e.invalid'

/** Starts Kubernetes with one node. Needs root. */
export async function startLocalCluster(runDir: string): Promise<Cluster> {
  const bin = await buildKubernetes()
  mkdirSync(runDir, { recursive: true, mode: 0o700 })
  await recordHostState(runDir, join(bin, 'kube-proxy'))
  await addNodeAddress()
  createContainerGroup()
  const apiPort = await freePort(network.nodeAddress)
  const pki = await createPki(runDir, `https://${network.nodeAddress}:${apiPort}`)
  const apiServer = await createApiServerConfig(runDir)
  const plane = { runDir, bin, pki, apiPort, apiServer }
  const cluster: Cluster = {
    provider: 'local',
    runDir,
    kubeconfig: pki.kubeconfig,
    kubectl: join(bin, 'kubectl'),
    nodes: [
      { name: nodeName, certsDir: join(runDir, 'certs.d'), stateDir: join(runDir, 'berth-state') },
    ],
    address: '127.0.0.1',
    podAddress: network.nodeAddress,
    pauseBinary: await buildPause(),
    auditLog: apiServer.auditLog,
    webhookClient: apiServer.webhookClient,
    kubeletClient: pki.kubeletClient,
  }
  // The container runtime starts while the API server does.
  const [containerd] = await Promise.all([
    startRuntime(cluster),
    startApiServer(plane).then(() => startControllers(plane)),
  ])
  await startNode(plane, containerd)
  return cluster
}

/**
 * Stops the cluster of a run directory and restores the machine, also after a run that was killed at any point. Kills the
 * processes, because there is no state to save.
 */
export async function stopLocalCluster(runDir: string): Promise<void> {
  if (!existsSync(runDir)) return
  // A process is killed before those that it starts: the kubelet, then containerd, then the containers.
  const first = ['kubelet', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'containerd']
  const rank = ({ name }: ProcessRecord) =>
    (first.indexOf(name) + first.length + 1) % (first.length + 1)
  const records = processRecords(runDir).sort((a, b) => rank(a) - rank(b))
  for (const record of records) await killProcess(record)
  await removeContainers(runDir)
  await restoreHostState(runDir)
  rmSync(runDir, { recursive: true, force: true })
}

async function startRuntime(cluster: Cluster): Promise<ProcessRecord> {
  blockOtherHosts(cluster)
  const registry = await startRegistry(cluster, { name: 'sandbox' })
  setNodeHost(cluster, sandboxHost, [registry.url])
  await pushImage({
    registry: registry.url,
    repository: 'pause',
    tag: '1',
    binary: cluster.pauseBinary,
  })
  return startContainerd(cluster.runDir, `${sandboxHost}/pause:1`)
}
