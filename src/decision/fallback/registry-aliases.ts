/** The spellings of one registry: aliases of Docker Hub, default ports, zeros before a port, and upper case. */
import { defaultDomain, officialNamespace, type Reference } from '../reference/reference.ts'

/** The host that serves the API of docker.io (distribution/reference, normalize.go; containerd, ConfigureHosts). */
const dockerHubApiHost = 'registry-1.docker.io'

/** Image parsers read `index.docker.io` as Docker Hub. `registry-1.docker.io` serves its API. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['index.docker.io', defaultDomain],
  [dockerHubApiHost, defaultDomain],
])

/** Returns `docker.io` for an alias of Docker Hub, and any other host as it is written. */
export function hubHost(host: string): string {
  return aliases.get(host) ?? host
}

/** Returns the host that serves the API of a registry: `registry-1.docker.io` for `docker.io`. */
export function apiHost(host: string): string {
  return host === defaultDomain ? dockerHubApiHost : host
}

/** Returns true for a host without a port that nodes reach over plain HTTP. Its default port is 80. */
export type IsPlainHttp = (host: string) => boolean

const usesHttps: IsPlainHttp = () => false

/** Has the port without zeros before it. */
const portOnly = /^0*([0-9]+)$/

/**
 * Returns one spelling for all spellings of the same server, to compare hosts: `docker.io` for `DOCKER.IO:0443` and for the
 * aliases of Docker Hub. A runtime looks for credentials and mirrors by the host as it is written, so the result is never
 * written into an image that stays where it is.
 */
export function canonicalHost(host: string, isPlainHttp: IsPlainHttp = usesHttps): string {
  const lower = host.toLowerCase()
  // Most hosts have no port, and a regular expression takes longer than the rest.
  const colon = lower.lastIndexOf(':')
  if (colon < 1) return hubHost(lower)
  const [, port] = portOnly.exec(lower.slice(colon + 1)) ?? []
  if (port === undefined) return hubHost(lower)
  const name = lower.slice(0, colon)
  const defaultPort = isPlainHttp(name) ? '80' : '443'
  return port === defaultPort ? hubHost(name) : `${name}:${port}`
}

/** Returns the reference with the canonical host, for patterns and templates. */
export function canonicalReference(reference: Reference, isPlainHttp?: IsPlainHttp): Reference {
  return onHost(reference, canonicalHost(reference.domain, isPlainHttp))
}

/** Returns the reference on `docker.io` if its host is an alias of it, for what nodes do. */
export function hubReference(reference: Reference): Reference {
  return onHost(reference, hubHost(reference.domain))
}

function onHost(reference: Reference, domain: string): Reference {
  if (domain === reference.domain) return reference
  const { path } = reference
  const isOfficial = domain === defaultDomain && !path.includes('/')
  return { ...reference, domain, path: isOfficial ? officialNamespace + path : path }
}
