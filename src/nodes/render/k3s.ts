/** Renders `registries.yaml` for K3s and RKE2 (docs.k3s.io, "Private Registry Configuration"; wharfie's pkg/registries). */
import { lt } from 'semver'
import { stringify } from 'yaml'
import type { NodeFinding, NodeMirror, NodePlan } from '../plan/node-plan.ts'
import { isFoundByName } from '../plan/node-registry.ts'
import { caByAuthority } from './ca-by-authority.ts'
import { type HostEntry, hostTable } from './host-table.ts'
import { isMoved } from './registry-location.ts'
import type { NodeFile, RenderedTarget, RenderOptions, Target } from './target.ts'

export const k3s: Target = target('k3s', '/etc/rancher/k3s')
export const rke2: Target = target('rke2', '/etc/rancher/rke2')

/** The first release of each minor version with --disable-default-registry-endpoint. */
const firstWithFlag: readonly string[] = ['1.26.13', '1.27.10', '1.28.6', '1.29.1']

function target(name: 'k3s' | 'rke2', directory: string): Target {
  const restart = `restart ${name} on every node, servers and agents: it reads registries.yaml only when it starts`
  return { directory, restart, render: (plan, options) => render(plan, options, directory) }
}

function render(plan: NodePlan, options: RenderOptions, directory: string): RenderedTarget {
  const { entries, omissions } = hostTable(plan, 'registries.yaml')
  // K3s itself asks the host by its name last, which is also wrong for a host at another address.
  const isClosed = entries.some(
    ({ upstream }) => upstream !== 'any' && (upstream === null || isMoved(upstream)),
  )
  const authorities = caByAuthority(entries)
  const configs = authorities.map(([authority]) => {
    return [authority, { tls: { ca_file: `${directory}/${caPath(authority)}` } }] as const
  })
  const mirrors = entries.map((entry) => [entry.host ?? '*', mirrorOf(entry, isClosed)] as const)
  const content = {
    mirrors: Object.fromEntries(mirrors),
    ...(configs.length > 0 && { configs: Object.fromEntries(configs) }),
  }
  const files: NodeFile[] = [
    {
      path: 'registries.yaml',
      content: stringify(content, { lineWidth: 0, aliasDuplicateObjects: false }),
    },
    ...authorities.map(([authority, ca]) => ({ path: caPath(authority), content: ca })),
  ]
  // The flag applies to every listed host, so a host whose upstream may be asked lists its upstream as an endpoint.
  if (isClosed)
    files.push({
      path: 'config.yaml.d/50-berth.yaml',
      content: 'disable-default-registry-endpoint: true\n',
    })
  const notes = isClosed
    ? ['disable-default-registry-endpoint is set: K3s asks a listed host only at its endpoints']
    : []
  return { files, omissions: [...omissions, ...limitsOf(plan, options, isClosed)], notes }
}

/** Returns what K3s cannot do with these options. */
function limitsOf(
  { rules }: NodePlan,
  { digestOnly, version }: RenderOptions,
  isClosed: boolean,
): NodeFinding[] {
  const limits: NodeFinding[] = []
  if (digestOnly)
    limits.push({
      path: [],
      message: 'registries.yaml cannot limit a mirror to digests; leave --digest-only out',
    })
  if (isClosed && version !== null && !hasFlag(version.version))
    limits.push({
      path: [],
      message: `version ${version.version} always asks the upstream last; ${firstWithFlag.join(', ')} and later can be kept from it`,
    })
  const everything = rules.find(({ scope }) => scope.kind === 'everything')
  if (isClosed && everything?.upstream === true)
    limits.push({
      path: everything.configPath,
      message: `row ${everything.row} asks every host last, and K3s can be kept from the upstream only for all hosts or for none; name the hosts`,
    })
  return limits
}

function hasFlag(version: string): boolean {
  const first = firstWithFlag.find((each) => version.startsWith(`${each.split('.', 2).join('.')}.`))
  return !lt(version, first ?? firstWithFlag[0] ?? version)
}

function mirrorOf({ mirrors, upstream }: HostEntry, isClosed: boolean): { endpoint: string[] } {
  const endpoint = mirrors.map(urlOf)
  if (upstream === null || upstream === 'any') return { endpoint }
  // K3s itself asks the host by its name over https last.
  if (isClosed || mirrors.length === 0 || !isFoundByName(upstream)) endpoint.push(upstream.url)
  return { endpoint }
}

/** K3s uses a path as it is and adds no /v2, so the path starts with it. */
function urlOf({ registry: { url }, path }: NodeMirror): string {
  return path === '' ? url : `${url}/v2/${path}`
}

function caPath(authority: string): string {
  return `certs/${authority.replaceAll(':', '_')}.crt`
}
