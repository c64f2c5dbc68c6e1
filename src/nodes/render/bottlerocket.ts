/**
 * Renders the settings of Bottlerocket for registries: `settings.container-registry.mirrors`, and `settings.pki` for
 * private CAs (bottlerocket-settings-sdk, container-registry; bottlerocket-core-kit, thar-be-registries).
 */
import { lt } from 'semver'
import { stringify } from 'smol-toml'
import type { NodeFinding, NodePlan } from '../plan/node-plan.ts'
import { isFoundByName } from '../plan/node-registry.ts'
import { caByAuthority } from './ca-by-authority.ts'
import { type HostEntry, hostTable } from './host-table.ts'
import { isMoved } from './registry-location.ts'
import type { RenderedTarget, RenderOptions, Target } from './target.ts'

export const bottlerocket: Target = {
  directory: null,
  restart:
    'no reboot needed: apply the file with `apiclient apply` on every node, and add it to the user data of new nodes',
  render,
}

/** The first Bottlerocket that writes hosts.toml, with the endpoints in alphabetical order (bottlerocket-core-kit#819 and #898). */
const firstSorted = '1.56.0'

function render(plan: NodePlan, options: RenderOptions): RenderedTarget {
  const { entries, omissions } = hostTable(plan, 'Bottlerocket')
  const mirrors = entries.map((entry) => ({
    registry: entry.host ?? '*',
    endpoint: endpointsOf(entry),
  }))
  const cas = caByAuthority(entries)
  const pki = cas.map(([authority, ca]) => {
    return [
      pkiName(authority),
      { data: Buffer.from(ca).toString('base64'), trusted: true },
    ] as const
  })
  const settings = {
    ...(mirrors.length > 0 && { 'container-registry': { mirrors } }),
    ...(pki.length > 0 && { pki: Object.fromEntries(pki) }),
  }
  const isEmpty = mirrors.length === 0 && pki.length === 0
  const files = isEmpty ? [] : [{ path: 'bottlerocket.toml', content: stringify({ settings }) }]
  const notes = [
    ...(mirrors.length > 0
      ? ['container-registry.mirrors replaces the list of mirrors that the node has']
      : []),
    ...(pki.length > 0 ? ['every program of the node trusts the CAs in settings.pki'] : []),
  ]
  const limits = [...limitsOf(entries, plan), ...orderLimits(mirrors, options)]
  return { files, omissions: [...omissions, ...limits, ...digestLimit(options)], notes }
}

/** A path is used as it is, so it starts with /v2. */
function endpointsOf({ mirrors, upstream }: HostEntry): string[] {
  const endpoints = mirrors.map(({ registry, path }) =>
    path === '' ? registry.url : `${registry.url}/v2/${path}`,
  )
  if (upstream === null || upstream === 'any') return endpoints
  const isListed = mirrors.length === 0 || !isFoundByName({ ...upstream, ca: null })
  return isListed ? [...endpoints, upstream.url] : endpoints
}

/** Bottlerocket itself asks each registry by its name over https last (bottlerocket#4891). */
function limitsOf(entries: readonly HostEntry[], { rules, airGap }: NodePlan): NodeFinding[] {
  return entries.flatMap(({ host, upstream }) => {
    if (upstream === 'any' || (upstream !== null && !isMoved(upstream))) return []
    const rule = rules.find(({ scope }) =>
      host === null ? scope.kind === 'everything' : scope.kind === 'host' && scope.host === host,
    )
    const why = airGap ? 'leave --air-gap out' : 'leave the row to the webhook'
    const message = `Bottlerocket always asks ${host ?? 'the registry that the image names'} under its own name last; ${why}`
    return [{ path: rule?.configPath ?? [], message }]
  })
}

function orderLimits(
  mirrors: readonly { readonly registry: string; readonly endpoint: readonly string[] }[],
  { version }: RenderOptions,
): NodeFinding[] {
  if (version !== null && lt(version, firstSorted)) return []
  return mirrors
    .filter(({ endpoint }) => endpoint.join(' ') !== endpoint.toSorted().join(' '))
    .map(({ registry, endpoint }) => ({
      path: [],
      message: `Bottlerocket ${firstSorted} and later asks endpoints in alphabetical order: ${endpoint.toSorted().join(', ')} for ${registry}; name the mirrors so that this is the order of the table, or use one mirror`,
    }))
}

function digestLimit({ digestOnly }: RenderOptions): NodeFinding[] {
  const message =
    'not every version of Bottlerocket can limit a mirror to digests; leave --digest-only out'
  return digestOnly ? [{ path: [], message }] : []
}

/** A name of a setting has letters, digits, `-` and `_`. */
function pkiName(authority: string): string {
  return `berth-${authority.replaceAll(/[^a-zA-Z0-9_-]/g, '-')}`
}
