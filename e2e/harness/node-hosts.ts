import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A server the node asks instead of the registry an image names. Without capabilities it may do all that a node needs. */
export type NodeMirror = { url: string; capabilities?: readonly ('pull' | 'resolve')[] }

/**
 * Sends the node's requests for `host` (`ghcr.io`, `docker.io`, `localhost:5000`, `anubis:32000`) to the mirrors, in their
 * order. Names need no DNS entry and ports no listener: containerd looks the host up by this directory's name alone. The
 * last mirror is also the `server`, which containerd would otherwise take from the image and reach for on the network.
 */
export function setNodeHost(
  cluster: { certsDir: string },
  host: string,
  mirrors: readonly (NodeMirror | string)[],
): void {
  const list = mirrors.map((mirror) => (typeof mirror === 'string' ? { url: mirror } : mirror))
  const last = list.at(-1)
  if (last === undefined) throw new Error(`${host}: no mirror; a node host needs at least one`)
  const lines = [`server = ${JSON.stringify(last.url)}`]
  for (const { url, capabilities = ['pull', 'resolve'] } of list) {
    lines.push(`[host.${JSON.stringify(url)}]`, `  capabilities = ${JSON.stringify(capabilities)}`)
  }
  const dir = join(cluster.certsDir, host)
  mkdirSync(dir, { recursive: true })
  // containerd reads the file at every pull, maybe right now: it must never see half of it.
  writeFileSync(join(dir, 'hosts.toml.new'), `${lines.join('\n')}\n`)
  renameSync(join(dir, 'hosts.toml.new'), join(dir, 'hosts.toml'))
}

/** Makes the node forget a host: its images cannot be pulled any more. */
export function removeNodeHost(cluster: { certsDir: string }, host: string): void {
  rmSync(join(cluster.certsDir, host), { recursive: true, force: true })
}

/** Every host without an entry leads to a port that refuses: no pod of a test ever reaches a registry of the internet. */
export function blockOtherHosts(cluster: { certsDir: string }): void {
  setNodeHost(cluster, '_default', ['http://127.0.0.1:1'])
}
