import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

/** A running cluster, as plain data: everything a scenario needs to know about where it runs. */
export type Cluster = {
  provider: 'local' | 'kind'
  /** Where the cluster keeps everything; a scenario may put files of its own there, they go when the cluster goes. */
  runDir: string
  kubeconfig: string
  /** Path of the kubectl to use. */
  kubectl: string
  /** The node's certs.d, as a directory of this machine. */
  certsDir: string
  /** Where this machine's servers (registries, webhooks) listen so that tests, API server and node all reach them. */
  address: string
  /** Where servers listen that pods reach as well; `address` may be a loopback, of which every pod has its own. */
  podAddress: string
  /** A static binary that waits for a signal: the entry point of the images of the tests. */
  pauseBinary: string
  /** The API server's audit log (bodies for pods, metadata for the rest); null where the provider has none. */
  auditLog: string | null
}

/** The run directory: one for each user, because there is one cluster at a time. */
export function runDirectory(): string {
  return process.env['BERTH_E2E_DIR'] ?? join(tmpdir(), `berth-e2e-${userInfo().uid}`)
}

/** Makes the cluster known to `currentCluster`; written last, so that its presence means the cluster is up. */
export function publishCluster(cluster: Cluster): void {
  writeFileSync(join(cluster.runDir, 'cluster.json'), `${JSON.stringify(cluster, null, 2)}\n`)
}

/** The cluster that is up. A file is what ties scenarios to it, so that commands run by hand find it as well. */
export function currentCluster(): Cluster {
  const file = join(runDirectory(), 'cluster.json')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new Error(`no cluster is up (no ${file}); start one with: node e2e/harness/up.ts`)
  }
  return JSON.parse(text) as Cluster
}
