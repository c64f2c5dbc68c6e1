/**
 * The kind provider, for machines with Docker. THIS FILE HAS NEVER BEEN RUN: it was written on a machine without a Docker
 * engine. It is for Linux, expects kind 0.27 or later, whose nodes read /etc/containerd/certs.d by default, and has no
 * audit log. Registries and webhooks are processes of this machine, as with the local provider; they listen on the gateway
 * address of kind's Docker network, which the node and this machine both reach.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buildPause } from './go-programs.ts'
import type { Cluster } from './cluster.ts'
import { runOk } from './command.ts'
import { writeRunJson } from './local-cluster/files.ts'
import { blockOtherHosts } from './node-hosts.ts'
import { processRecords, stopProcess } from './processes.ts'

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
  // After the start, which may have to pull images.
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
    webhookClient: null,
  }
}

/** Deletes the kind cluster and stops the processes of the tests. */
export async function stopKindCluster(runDir: string): Promise<void> {
  for (const record of processRecords(runDir)) await stopProcess(runDir, record)
  await runOk('kind', ['delete', 'cluster', '--name', name])
  rmSync(runDir, { recursive: true, force: true })
}

async function gateway(): Promise<string> {
  const format = '{{range .IPAM.Config}}{{.Gateway}} {{end}}'
  const addresses = await runOk('docker', ['network', 'inspect', 'kind', '--format', format])
  const address = addresses.split(' ').find((candidate) => /^\d+(\.\d+){3}$/.test(candidate))
  if (address === undefined)
    throw new Error(`the Docker network of kind has no IPv4 gateway: ${addresses}`)
  return address
}
