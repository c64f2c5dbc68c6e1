/** `registries.yaml` of K3s and RKE2 (docs.k3s.io, "Private Registry Configuration"; wharfie's pkg/registries). */
import { lt } from 'semver'
import { stringify } from 'yaml'
import { isFoundByName } from '../plan/node-registry.ts'
import { type HostEntry, hostTable } from './host-table.ts'
import { isMoved } from './registry-location.ts'
import { compare, type NodeFinding, type NodeMirror, type NodePlan } from '../plan/node-plan.ts'
import type { NodeFile, Rendered, RenderOptions, Target } from './target.ts'

export const k3s: Target = target('k3s', '/etc/rancher/k3s')
export const rke2: Target = target('rke2', '/etc/rancher/rke2')

/** The releases in which --disable-default-registry-endpoint came to each minor version of Kubernetes. */
const firstWithFlag: readonly string[] = ['1.26.13', '1.27.10', '1.28.6', '1.29.1']

function target(name: 'k3s' | 'rke2', directory: string): Target {
  const restart = `restart ${name} on every node, servers and agents: it reads registries.yaml when it starts`
  return { directory, restart, render: (plan, options) => render(plan, options, directory) }
}

function render(
  plan: NodePlan,
  { digestOnly, version }: RenderOptions,
  directory: string,
): Rendered {
  const { entries, omissions } = hostTable(plan, 'registries.yaml')
  const limits: NodeFinding[] = digestOnly
    ? [
        {
          path: [],
          message:
            'registries.yaml cannot keep a mirror from answering for tags; leave --digest-only out',
        },
      ]
    : []
  // What K3s asks at last by itself is the name of the host, which is also wrong where the host is somewhere else.
  const closed = entries.some(
    ({ upstream }) => upstream !== 'any' && (upstream === null || isMoved(upstream)),
  )
  if (closed && version !== null && !hasFlag(version.version))
    limits.push({
      path: [],
      message: `version ${version.version} always asks upstream at last; ${firstWithFlag.join(', ')} and later can be kept from it`,
    })
  const every = plan.rules.find(({ scope }) => scope.kind === 'everything')
  if (closed && every?.upstream === true)
    limits.push({
      path: every.configPath,
      message: `row ${every.row} asks every host at last, and K3s is kept from upstream for all or none; name the hosts`,
    })
  const registries = entries.flatMap(({ mirrors, upstream }) => [
    ...mirrors.map(({ registry }) => registry),
    ...(upstream === null || upstream === 'any' ? [] : [upstream]),
  ])
  const trusted = new Map(
    registries.flatMap(({ authority, ca }) => (ca === null ? [] : [[authority, ca] as const])),
  )
  const configs = [...trusted.keys()].sort().map((authority) => {
    return [authority, { tls: { ca_file: `${directory}/${caPath(authority)}` } }] as const
  })
  const mirrors = entries.map((entry) => [entry.host ?? '*', mirrorOf(entry, closed)] as const)
  const content = {
    mirrors: Object.fromEntries(mirrors),
    ...(configs.length > 0 && { configs: Object.fromEntries(configs) }),
  }
  const files: NodeFile[] = [
    {
      path: 'registries.yaml',
      content: stringify(content, { lineWidth: 0, aliasDuplicateObjects: false }),
    },
    ...[...trusted]
      .sort(([a], [b]) => compare(a, b))
      .map(([authority, ca]) => ({ path: caPath(authority), content: ca })),
  ]
  // The flag is for all listed hosts at once, so those that may be asked upstream name their upstream themselves.
  if (closed)
    files.push({
      path: 'config.yaml.d/50-berth.yaml',
      content: 'disable-default-registry-endpoint: true\n',
    })
  const notes = closed
    ? [
        'disable-default-registry-endpoint is set: a host that is listed is asked at its endpoints alone',
      ]
    : []
  return { files, omissions: [...omissions, ...limits], notes }
}

function hasFlag(version: string): boolean {
  const first = firstWithFlag.find((each) => version.startsWith(`${each.split('.', 2).join('.')}.`))
  return !lt(version, first ?? firstWithFlag[0] ?? version)
}

function mirrorOf({ mirrors, upstream }: HostEntry, closed: boolean): { endpoint: string[] } {
  const endpoint = mirrors.map(urlOf)
  if (upstream === null || upstream === 'any') return { endpoint }
  // What K3s asks at last by itself is the host's name by https.
  if (closed || mirrors.length === 0 || !isFoundByName(upstream)) endpoint.push(upstream.url)
  return { endpoint }
}

/** A path other than /v2 is taken as it stands, so it has to begin with it. */
function urlOf({ registry: { url }, path }: NodeMirror): string {
  return path === '' ? url : `${url}/v2/${path}`
}

function caPath(authority: string): string {
  return `certs/${authority.replaceAll(':', '_')}.crt`
}
