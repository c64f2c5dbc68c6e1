/** A registry as containers/image and OpenShift write it: a location with host and port, without a scheme or a base path. */
import { isFoundByName, type NodeRegistry } from '../plan/node-registry.ts'
import type { NodeMirror, NodePlan, NodeRule } from '../plan/node-plan.ts'
import { covers, prefixOf } from '../plan/scope.ts'

/** Adds the port to a host without a dot, because it would be read as a user of Docker Hub. */
export function registryLocation({ authority, plainHttp }: NodeRegistry): string {
  if (/[.:]/.test(authority) || authority === 'localhost') return authority
  return `${authority}:${plainHttp ? 80 : 443}`
}

/** True if nodes reach the registry under another name than images have. */
export function isMoved(registry: NodeRegistry): boolean {
  return registry.authority !== registry.host && !isFoundByName({ ...registry, ca: null })
}

/** Returns why a registry of the rule cannot be written as a location; null if all can. */
export function locationProblem(
  { scope, mirrors }: NodeRule,
  { registryOf }: NodePlan,
): string | null {
  const registries = [
    ...('host' in scope ? [registryOf(scope.host)] : []),
    ...mirrors.map(({ registry }) => registry),
  ]
  const withPath = registries.find(({ basePath }) => basePath !== '')
  if (withPath === undefined) return null
  return `needs ${withPath.host} at ${withPath.url}, and a location cannot have a base path; set a nodeEndpoint without one`
}

/** Returns the location of a mirror with its path. */
export function mirrorLocation({ registry, path }: NodeMirror): string {
  return [registryLocation(registry), path].filter(Boolean).join('/')
}

/**
 * The longest prefix wins. Of two with the same length the wildcard wins, because it sorts first: `a.example.com` would
 * lose its images to `*.example.com`. Returns a message about that; null if the rule is safe.
 */
export function wildcardProblem({ scope }: NodeRule, rules: readonly NodeRule[]): string | null {
  const prefix = prefixOf(scope)
  const wider = rules.find((each) => {
    const isWildcard = each.scope.kind === 'subdomains' && scope.kind !== 'subdomains'
    return isWildcard && covers(each.scope, scope) && prefixOf(each.scope).length >= prefix.length
  })
  if (wider === undefined) return null
  return `is for ${prefix}, which is not longer than ${prefixOf(wider.scope)} and would lose its images to it; name the hosts of row ${wider.row}`
}
