import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buildPause } from './go-programs.ts'
import type { Cluster } from './cluster.ts'
import { runOk } from './command.ts'
import { writeRunJson } from './local-cluster/files.ts'
import { blockOtherHosts } from './node-hosts.ts'
import { processRecords, stopProcess } from './processes.ts'

/**
 * The provider for machines with Docker. NOTHING IN THIS FILE HAS BEEN RUN: it was written on a machine without a Docker
 * engine. It is Linux only and counts on a recent kind (0.27, as far as known, whose nodes read /etc/containerd/certs.d
 * without being told), and it has no audit log. Registries and webhooks are processes of this machine here as well, on
 * the gateway address of kind's Docker network, which the node and this machine both reach.
 */
const name = 'berth-e2e'

/** Creates the kind cluster. */
export async function startKindCluster(runDir: string): Promise<Cluster> {
  const certsDir = join(runDir, 'certs.d')
  mkdirSync(certsDir, { recursive: true })
  const kubeconfig = join(runDir, 'kubeconfig')
  const config = writeRunJson(runDir, 'kind.yaml', {
    apiVersion: 'kind.x-k8s.io/v1alpha4',
    kind: 'Cluster',
    nodes: [
      {
        role: 'control-plane',
        extraMounts: [{ hostPath: certsDir, containerPath: '/etc/containerd/certs.d' }],
      },
    ],
  })
  const create = ['create', 'cluster', '--name', name, '--wait', '180s']
  await runOk('kind', [...create, '--config', config, '--kubeconfig', kubeconfig])
  // Only now: while the cluster was made, nothing was in the way of images that the node did not bring along.
  blockOtherHosts({ certsDir })
  const address = await gateway()
  return {
    provider: 'kind',
    runDir,
    kubeconfig,
    kubectl: 'kubectl',
    certsDir,
    address,
    podAddress: address,
    pauseBinary: await buildPause(),
    auditLog: null,
  }
}

/** Deletes the kind cluster and stops the registries of the tests. */
export async function stopKindCluster(runDir: string): Promise<void> {
  for (const record of processRecords(runDir)) await stopProcess(runDir, record)
  await runOk('kind', ['delete', 'cluster', '--name', name])
  rmSync(runDir, { recursive: true, force: true })
}

async function gateway(): Promise<string> {
  const format = '{{range .IPAM.Config}}{{.Gateway}} {{end}}'
  const addresses = await runOk('docker', ['network', 'inspect', 'kind', '--format', format])
  const address = addresses.split(' ').find((candidate) => /^\d+(\.\d+){3}$/.test(candidate))
  if (address === undefined) throw new Error(`kind's network has no IPv4 gateway: ${addresses}`)
  return address
}
