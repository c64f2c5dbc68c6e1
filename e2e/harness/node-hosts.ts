/** Where the nodes pull images from: a hosts.toml for each registry host (containerd, docs/hosts.md). */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'

/** A server that the node uses for a registry host. Default capabilities: pull and resolve. */
export type NodeMirror = { url: string; capabilities?: readonly ('pull' | 'resolve')[] }

/** Nodes by their certs.d directories. */
type Nodes = { nodes: readonly Pick<Cluster['nodes'][number], 'certsDir'>[] }

/**
 * Sends the requests of every node for `host` (`ghcr.io`, `localhost:5000`) to the mirrors, in order. The host needs neither a DNS
 * entry nor a listener, because containerd looks up the directory of that name. The last mirror is also the `server`;
 * without one, containerd would contact the host itself.
 */
export function setNodeHost(
  { nodes }: Nodes,
  host: string,
  mirrors: readonly (NodeMirror | string)[],
): void {
  const list = mirrors.map((mirror) => (typeof mirror === 'string' ? { url: mirror } : mirror))
  const last = list.at(-1)
  if (last === undefined) throw new Error(`${host}: needs at least one mirror`)
  const lines = [`server = ${JSON.stringify(last.url)}`]
  for (const { url, capabilities = ['pull', 'resolve'] } of list) {
    lines.push(`[host.${JSON.stringify(url)}]`, `  capabilities = ${JSON.stringify(capabilities)}`)
  }
  for (const { certsDir } of nodes) {
    const dir = join(certsDir, host)
    mkdirSync(dir, { recursive: true })
    // Renamed, because containerd may read the file at any moment.
    writeFileSync(join(dir, 'hosts.toml.new'), `${lines.join('\n')}\n`)
    renameSync(join(dir, 'hosts.toml.new'), join(dir, 'hosts.toml'))
  }
}

/** Removes a host from every node. Its images can no longer be pulled. */
export function removeNodeHost({ nodes }: Nodes, host: string): void {
  for (const { certsDir } of nodes) rmSync(join(certsDir, host), { recursive: true, force: true })
}

/** Sends every host without an entry to a closed port, so that no pod pulls from the internet. */
export function blockOtherHosts(cluster: Nodes): void {
  setNodeHost(cluster, '_default', ['http://127.0.0.1:1'])
}
