/** Models which hosts containerd asks by its certs.d directory: the subdirectory for a registry, and its hosts.toml. */
import { apiHost, hubHost } from '../../decision/fallback/registry-aliases.ts'
import { type LoadedHost, readHostsToml } from './hosts-toml.ts'

/** The text of hosts.toml by the name of its directory; null for a directory without one. */
export type CertsDirectory = ReadonlyMap<string, string | null>

/** Returns the single directory that containerd uses for a host (hostPaths in config_unix.go); null if there is none. */
export function directoryFor(tree: CertsDirectory, host: string): string | null {
  return directoryNames(host).find((name) => tree.has(name)) ?? null
}

/** The directory names that containerd looks for, in order. */
function directoryNames(host: string): string[] {
  const colon = host.lastIndexOf(':')
  const underscored = colon > 0 ? [`${host.slice(0, colon)}_${host.slice(colon + 1)}_`] : []
  return [...underscored, host, '_default']
}

/** Returns the hosts that containerd asks for images of a registry, in order. */
export function hostsAskedFor(tree: CertsDirectory, host: string): LoadedHost[] {
  const directory = directoryFor(tree, host)
  const text = directory === null ? null : (tree.get(directory) ?? null)
  const hosts = text === null ? null : readHostsToml(text).hosts
  const upstream = defaultHost(host)
  return (hosts ?? [upstream]).map((each) => (each.host === '' ? upstream : each))
}

/** The registry without any configuration (ConfigureHosts). */
function defaultHost(host: string): LoadedHost {
  const name = apiHost(host)
  // On loopback, containerd tries https and then http, and only http on port 80.
  const scheme = isLoopback(host) && host.endsWith(':80') ? 'http' : 'https'
  return { scheme, host: name, path: '/v2', pull: true, resolve: true }
}

function isLoopback(host: string): boolean {
  return /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host)
}

/** Returns problems that containerd does not report. Each line starts with the directory. */
export function silentProblems(tree: CertsDirectory): string[] {
  return [...tree].flatMap(([name, text]) => {
    if (text === null) return [`${name}: the directory has no hosts.toml and hides _default`]
    const findings = readHostsToml(text).findings.map((each) => `${name}: containerd ${each}`)
    const unused = whyUnused(tree, name)
    return unused === null ? findings : [...findings, `${name}: ${unused}`]
  })
}

/** Returns why containerd never reads a directory; null if it does. */
function whyUnused(tree: CertsDirectory, name: string): string | null {
  if (hubHost(name) !== name)
    return 'containerd never reads this directory; images of Docker Hub use docker.io'
  const [preferred = name] = directoryNames(name)
  if (preferred !== name && name !== '_default' && tree.has(preferred))
    return `containerd uses ${preferred} instead`
  return name.includes('*') ? 'containerd has no wildcards except _default' : null
}
