/** Where containerd would pull from, by the files of a node: which directory counts for a host, and what its file says. */
import { defaultDomain } from '../../decision/reference/reference.ts'
import { type LoadedHost, readHostsToml } from './hosts-toml.ts'

/** The text of a hosts.toml by the name of its directory; null for a directory without one. */
export type CertsDirectory = ReadonlyMap<string, string | null>

/** The directory that counts for a host, and nothing of the others (hostPaths in config_unix.go). Null: none does. */
export function directoryFor(tree: CertsDirectory, host: string): string | null {
  return candidates(host).find((name) => tree.has(name)) ?? null
}

function candidates(host: string): string[] {
  const colon = host.lastIndexOf(':')
  const underscored = colon > 0 ? [`${host.slice(0, colon)}_${host.slice(colon + 1)}_`] : []
  return [...underscored, host, '_default']
}

/** The hosts that are asked for images of a registry, in order. */
export function hostsAskedFor(tree: CertsDirectory, host: string): LoadedHost[] {
  const directory = directoryFor(tree, host)
  const text = directory === null ? null : (tree.get(directory) ?? null)
  const hosts = text === null ? null : readHostsToml(text).hosts
  const itself = defaultHost(host)
  return (hosts ?? [itself]).map((each) => (each.host === '' ? itself : each))
}

/** Where containerd looks for a registry by itself (ConfigureHosts). */
function defaultHost(host: string): LoadedHost {
  const name = host === defaultDomain ? 'registry-1.docker.io' : host
  // On loopback it tries https, then http, except on the port of http.
  const scheme = isLoopback(host) && host.endsWith(':80') ? 'http' : 'https'
  return { scheme, host: name, path: '/v2', pull: true, resolve: true }
}

function isLoopback(host: string): boolean {
  return /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host)
}

/** What is wrong with the files of a tree, though containerd says nothing: each line begins with the directory. */
export function silentFaults(tree: CertsDirectory): string[] {
  return [...tree].flatMap(([name, text]) => {
    if (text === null) return [`${name}: there is no hosts.toml in it, and yet it hides _default`]
    const lost = shadow(tree, name)
    const faults = readHostsToml(text).ignored.map((what) => `${name}: containerd ignores ${what}`)
    return lost === null ? faults : [...faults, lost]
  })
}

const dockerHubNames: ReadonlySet<string> = new Set(['index.docker.io', 'registry-1.docker.io'])

function shadow(tree: CertsDirectory, name: string): string | null {
  if (dockerHubNames.has(name))
    return `${name}: containerd never looks here; images of Docker Hub are under docker.io`
  const [first = name] = candidates(name)
  if (first !== name && name !== '_default' && tree.has(first))
    return `${name}: containerd takes ${first} instead`
  return name.includes('*') ? `${name}: containerd knows no wildcards but _default` : null
}
