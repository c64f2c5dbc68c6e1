/** A registry as containers/image and OpenShift write it: host and port, without a scheme and without a path of its own. */
import { isFoundByName, type NodeRegistry } from '../plan/node-registry.ts'
import type { NodeRule } from '../plan/node-plan.ts'
import { covers, prefixOf } from '../plan/scope.ts'

/** The host has a dot, a colon or is localhost, or else it would be read as a Docker Hub user. */
export function registryLocation({ authority, plainHttp }: NodeRegistry): string {
  if (/[.:]/.test(authority) || authority === 'localhost') return authority
  return `${authority}:${plainHttp ? 80 : 443}`
}

/** True when nodes reach the registry under another name than images have for it. */
export function isMoved(registry: NodeRegistry): boolean {
  return registry.authority !== registry.host && !isFoundByName({ ...registry, ca: null })
}

/** Why the registry cannot be written so; null when it can. */
export function locationFault({ host, url, basePath }: NodeRegistry): string | null {
  if (basePath === '') return null
  return `needs ${host} at ${url}, and a location has no path of the registry's own; give a nodeEndpoint without one`
}

/**
 * The longest prefix wins, and of two of one length a wildcard, which sorts first: `a.example.com` would lose its images to
 * `*.example.com`. Says so; null when the rule is safe.
 */
export function wildcardFault({ scope }: NodeRule, rules: readonly NodeRule[]): string | null {
  const prefix = prefixOf(scope)
  const wider = rules.find((each) => {
    const isWild = each.scope.kind === 'subdomains' && scope.kind !== 'subdomains'
    return isWild && covers(each.scope, scope) && prefixOf(each.scope).length >= prefix.length
  })
  if (wider === undefined) return null
  return `is for ${prefix}, which is no longer than ${prefixOf(wider.scope)} and would lose its images to it; name the hosts of row ${wider.row}`
}
