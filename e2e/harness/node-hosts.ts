/** Where the node pulls images from: a hosts.toml for each registry host (containerd, docs/hosts.md). */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A server that the node uses for a registry host. Default capabilities: pull and resolve. */
export type NodeMirror = { url: string; capabilities?: readonly ('pull' | 'resolve')[] }

/**
 * Sends the node's requests for `host` (`ghcr.io`, `localhost:5000`) to the mirrors, in order. The host needs neither a DNS
 * entry nor a listener, because containerd looks up the directory of that name. The last mirror is also the `server`;
 * without one, containerd would contact the host itself.
 */
export function setNodeHost(
  cluster: { certsDir: string },
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
  const dir = join(cluster.certsDir, host)
  mkdirSync(dir, { recursive: true })
  // Renamed, because containerd may read the file at any moment.
  writeFileSync(join(dir, 'hosts.toml.new'), `${lines.join('\n')}\n`)
  renameSync(join(dir, 'hosts.toml.new'), join(dir, 'hosts.toml'))
}

/** Removes a host from the node. Its images can no longer be pulled. */
export function removeNodeHost(cluster: { certsDir: string }, host: string): void {
  rmSync(join(cluster.certsDir, host), { recursive: true, force: true })
}

/** Sends every host without an entry to a closed port, so that no pod pulls from the internet. */
export function blockOtherHosts(cluster: { certsDir: string }): void {
  setNodeHost(cluster, '_default', ['http://127.0.0.1:1'])
}
