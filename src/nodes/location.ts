/** A registry as containers/image and OpenShift write it: host and port, without a scheme and without a path of its own. */
import type { NodeRegistry } from './address.ts'

/** The host has a dot, a colon or is localhost, or else it would be read as a Docker Hub user. */
export function locationOf({ authority, plainHttp }: NodeRegistry): string {
  if (/[.:]/.test(authority) || authority === 'localhost') return authority
  return `${authority}:${plainHttp ? 80 : 443}`
}

/** Why the registry cannot be written so; null when it can. */
export function locationFault({ host, url, basePath }: NodeRegistry): string | null {
  if (basePath === '') return null
  return `needs ${host} at ${url}, and a location has no path of the registry's own; give a nodeEndpoint without one`
}
