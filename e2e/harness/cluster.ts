/** The cluster of the tests as data in a file, which scenarios and commands typed by hand read. */
import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

/** A node, with its directories as paths on this machine. */
export type ClusterNode = {
  name: string
  /** /etc/containerd/certs.d: a directory with a hosts.toml for each registry host. */
  certsDir: string
  /** /var/lib/berth, where `berth nodes apply` keeps the original files. */
  stateDir: string
}

/** What scenarios need to know about the running cluster. */
export type Cluster = {
  provider: 'local' | 'kind'
  /** The directory of the cluster's files. Scenarios may write here too; it is deleted with the cluster. */
  runDir: string
  kubeconfig: string
  /** The path of the kubectl to use. */
  kubectl: string
  nodes: readonly ClusterNode[]
  /** The address on which the tests' servers listen: reachable for the tests, the API server and the node. */
  address: string
  /** The address for servers that pods have to reach too; `address` may be a loopback address. */
  podAddress: string
  /** The path of a static program that waits for a signal: the entry point of the tests' images. */
  pauseBinary: string
  /** The path of the API server's audit log. */
  auditLog: string
  /** The client certificate that the API server shows to webhooks. */
  webhookClient: { ca: string; name: string; certificate: string; key: string }
  /** The client certificate that the API server shows to kubelets. */
  kubeletClient: { certificate: string; key: string }
}

/** The namespace of pods that are created by the hundred; the audit log leaves out their bodies. */
export const podStreamNamespace = 'pod-stream'

/** Returns the run directory. There is one per user, because there is one cluster at a time. */
export function runDirectory(): string {
  return process.env['BERTH_E2E_DIR'] ?? join(tmpdir(), `berth-e2e-${userInfo().uid}`)
}

/** Writes the file that `currentCluster` reads. The file exists only while the cluster is up. */
export function publishCluster(cluster: Cluster): void {
  writeFileSync(join(cluster.runDir, 'cluster.json'), `${JSON.stringify(cluster, null, 2)}\n`)
}

/** Returns the running cluster; throws if there is none. */
export function currentCluster(): Cluster {
  const file = join(runDirectory(), 'cluster.json')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new Error(`no cluster is running: ${file} does not exist; start one with: npm run e2e:up`)
  }
  return JSON.parse(text) as Cluster
}
