/** Renders `registries.conf` version 2 for CRI-O and Podman (containers-registries.conf.d(5), pkg/sysregistriesv2). */
import { lt } from 'semver'
import { stringify } from 'smol-toml'
import { compareText } from '../../text/compare.ts'
import type { NodeFinding, NodeMirror, NodePlan, NodeRule } from '../plan/node-plan.ts'
import type { NodeRegistry } from '../plan/node-registry.ts'
import { covers, prefixOf } from '../plan/scope.ts'
import {
  isMoved,
  locationProblem,
  mirrorLocation,
  registryLocation,
  wildcardProblem,
} from './registry-location.ts'
import type { NodeFile, RenderedTarget, RenderOptions, Target } from './target.ts'

export const crio: Target = {
  directory: '/etc/containers',
  restart: 'no restart needed: `systemctl reload crio` (SIGHUP) makes CRI-O read these files again',
  render,
}

/** The CRI-O version with containers/image 5.22, which introduced pull-from-mirror. Before, only a whole registry could be limited to digests. */
const firstPullFromMirror = '1.25.0'

/** A `[[registry]]` table. */
interface RegistryTable {
  readonly prefix: string
  readonly location: string
  readonly insecure?: boolean
  readonly blocked?: boolean
  readonly 'mirror-by-digest-only'?: boolean
  readonly mirror?: readonly MirrorTable[]
}

interface MirrorTable {
  readonly location: string
  readonly insecure?: boolean
  readonly 'pull-from-mirror'?: 'digest-only'
}

function render(plan: NodePlan, options: RenderOptions): RenderedTarget {
  const omissions: NodeFinding[] = []
  const notes: string[] = []
  const tables = new Map<string, RegistryTable>()
  for (const rule of plan.rules) {
    const { scope } = rule
    const problem =
      scopeProblem(rule, plan) ?? locationProblem(rule, plan) ?? wildcardProblem(rule, plan.rules)
    if (problem !== null) {
      omissions.push({ path: rule.configPath, message: `row ${rule.row} ${problem}` })
      continue
    }
    tables.set(prefixOf(scope), tableFor(rule, plan, options))
    if (scope.kind === 'repository' && scope.host !== 'docker.io')
      notes.push(`${prefixOf(scope)} also matches repositories below it, because it is a prefix`)
  }
  for (const registry of plan.registries) {
    if (!tables.has(registry.host)) tables.set(registry.host, registryTable(registry))
  }
  separateHostsWithPort(plan, tables)
  for (const host of plan.mirrorHosts) {
    // An image on a mirror belongs to no other row, so a wildcard must not match it either.
    const isMatched = plan.rules.some(
      ({ scope }) => scope.kind === 'subdomains' && covers(scope, { kind: 'host', host }),
    )
    if (isMatched && !tables.has(host)) tables.set(host, registryTable(plan.registryOf(host)))
  }
  const registry = [...tables.keys()].sort().map((prefix) => tables.get(prefix))
  const mirrors = plan.rules.flatMap((rule) => rule.mirrors.map((mirror) => mirror.registry))
  const files: NodeFile[] = [
    { path: 'registries.conf.d/50-berth.conf', content: stringify({ registry }) },
    ...caFiles([...mirrors, ...plan.registries]),
  ]
  return { files, omissions, notes }
}

function scopeProblem({ scope }: NodeRule, { mirrorHosts }: NodePlan): string | null {
  if (scope.kind === 'everything')
    return 'is for every host, and registries.conf has no prefix for that; name the hosts, or *.example.com/**'
  // Of two prefixes with the same length the wildcard wins, because it sorts first.
  const shadowed = mirrorHosts.find(
    (host) =>
      scope.kind === 'subdomains' &&
      covers(scope, { kind: 'host', host }) &&
      host.length <= prefixOf(scope).length,
  )
  if (shadowed === undefined) return null
  return `is for ${prefixOf(scope)}, which would also match the images of the mirror ${shadowed}; name the hosts`
}

function tableFor(rule: NodeRule, plan: NodePlan, options: RenderOptions): RegistryTable {
  const { scope, mirrors, upstream } = rule
  const prefix = prefixOf(scope)
  const registry = 'host' in scope ? plan.registryOf(scope.host) : null
  const byDigest = options.digestOnly && mirrors.length > 0
  const isOld = options.version !== null && lt(options.version, firstPullFromMirror)
  return {
    prefix,
    // With a wildcard prefix, an empty location means the image's own registry.
    location: registry === null ? '' : registryTable(registry, prefix).location,
    ...(registry?.plainHttp === true && { insecure: true }),
    ...(!upstream && { blocked: true }),
    ...(byDigest && isOld && { 'mirror-by-digest-only': true }),
    ...(mirrors.length > 0 && {
      mirror: mirrors.map((each) => mirrorTable(each, byDigest && !isOld)),
    }),
  }
}

function mirrorTable(mirror: NodeMirror, byDigest: boolean): MirrorTable {
  return {
    location: mirrorLocation(mirror),
    ...(mirror.registry.plainHttp && { insecure: true }),
    ...(byDigest && { 'pull-from-mirror': 'digest-only' }),
  }
}

/** A registry without mirrors, at its node address, which can have another name. */
function registryTable(registry: NodeRegistry, prefix: string = registry.host): RegistryTable {
  const { host, plainHttp } = registry
  const location = isMoved(registry)
    ? `${registryLocation(registry)}${prefix.slice(host.length)}`
    : prefix
  return { prefix, location, ...(plainHttp && { insecure: true }) }
}

/**
 * Adds a table for each host with a port whose name without the port is a prefix too. A prefix also ends before a colon,
 * so `anubis` would match images of `anubis:5000`.
 */
function separateHostsWithPort(
  { registryOf, rules }: NodePlan,
  tables: Map<string, RegistryTable>,
): void {
  const hosts = rules.flatMap(({ scope, mirrors }) => [
    ...('host' in scope ? [scope.host] : []),
    ...mirrors.map(({ registry }) => registry.host),
  ])
  for (const host of hosts) {
    const withoutPort = host.replace(/:[0-9]+$/, '')
    if (host !== withoutPort && tables.has(withoutPort) && !tables.has(host))
      tables.set(host, registryTable(registryOf(host)))
  }
}

/** CA files in the directories of containers-certs.d(5), which are named after the host that is asked. */
function caFiles(registries: readonly NodeRegistry[]): NodeFile[] {
  const files = new Map(
    registries.flatMap((registry) =>
      registry.ca === null
        ? []
        : [[`certs.d/${registryLocation(registry)}/berth.crt`, registry.ca] as const],
    ),
  )
  return [...files]
    .sort(([a], [b]) => compareText(a, b))
    .map(([path, content]) => ({ path, content }))
}
