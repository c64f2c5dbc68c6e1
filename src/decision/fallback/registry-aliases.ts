/** The names of Docker Hub: images, aliases and the host that serves its API. */
import { defaultDomain, officialNamespace, type Reference } from '../reference/reference.ts'

/** The host that serves the API of docker.io (distribution/reference, normalize.go; containerd, ConfigureHosts). */
const dockerHubApiHost = 'registry-1.docker.io'

/** Image parsers read `index.docker.io` as Docker Hub. `registry-1.docker.io` serves its API. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['index.docker.io', defaultDomain],
  [dockerHubApiHost, defaultDomain],
])

/** Returns `docker.io` for an alias of Docker Hub, and any other host unchanged. */
export function canonicalHost(host: string): string {
  return aliases.get(host) ?? host
}

/** Returns the host that serves the API of a registry: `registry-1.docker.io` for `docker.io`. */
export function apiHost(host: string): string {
  return host === defaultDomain ? dockerHubApiHost : host
}

/** Returns the reference with the canonical host, for patterns and templates. */
export function canonicalReference(reference: Reference): Reference {
  const domain = aliases.get(reference.domain)
  if (domain === undefined) return reference
  const { path } = reference
  return { ...reference, domain, path: path.includes('/') ? path : officialNamespace + path }
}
