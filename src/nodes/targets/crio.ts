/** `registries.conf` version 2, as CRI-O and Podman read it (containers-registries.conf.d(5), pkg/sysregistriesv2). */
import { lt } from 'semver'
import { stringify } from 'smol-toml'
import type { NodeRegistry } from '../plan/node-registry.ts'
import { isMoved, locationFault, registryLocation, wildcardFault } from './registry-location.ts'
import {
  compare,
  type NodeFinding,
  type NodeMirror,
  type NodePlan,
  type NodeRule,
} from '../plan/node-plan.ts'
import { covers, prefixOf } from '../plan/scope.ts'
import type { NodeFile, Rendered, RenderOptions, Target } from './target.ts'

export const crio: Target = {
  directory: '/etc/containers',
  restart: 'no restart: `systemctl reload crio` (SIGHUP) makes CRI-O read these files again',
  render,
}

/** pull-from-mirror came with containers/image 5.22, which is in CRI-O since then; before, only a whole registry could say it. */
const firstPullFromMirror = '1.25.0'

interface Registry {
  readonly prefix: string
  readonly location: string
  readonly insecure?: boolean
  readonly blocked?: boolean
  readonly 'mirror-by-digest-only'?: boolean
  readonly mirror?: readonly { readonly location: string; readonly insecure?: boolean }[]
}

function render(plan: NodePlan, options: RenderOptions): Rendered {
  const omissions: NodeFinding[] = []
  const notes: string[] = []
  const registries = new Map<string, Registry>()
  for (const rule of plan.rules) {
    const fault = faultOf(rule, plan) ?? wildcardFault(rule, plan.rules)
    if (fault !== null)
      omissions.push({ path: rule.configPath, message: `row ${rule.row} ${fault}` })
    else registries.set(prefixOf(rule.scope), registryOf(rule, plan, options))
    const { scope } = rule
    if (fault === null && scope.kind === 'repository' && scope.host !== 'docker.io')
      notes.push(`${prefixOf(scope)} also means repositories below it: a prefix has no end`)
  }
  for (const registry of plan.registries) {
    if (!registries.has(registry.host)) registries.set(registry.host, own(registry))
  }
  closeParents(plan, registries)
  for (const host of plan.mirrorHosts) {
    // An image on a mirror is no other row's, and so not that of a wildcard either.
    const isTaken = plan.rules.some(
      ({ scope }) => scope.kind === 'subdomains' && covers(scope, { kind: 'host', host }),
    )
    if (isTaken && !registries.has(host)) registries.set(host, own(plan.addressOf(host)))
  }
  const registry = [...registries.keys()].sort().map((prefix) => registries.get(prefix))
  const ca = plan.rules.flatMap(({ mirrors }) => mirrors.map((mirror) => mirror.registry))
  const files: NodeFile[] = [
    { path: 'registries.conf.d/50-berth.conf', content: stringify({ registry }) },
    ...caFiles([...ca, ...plan.registries]),
  ]
  return { files, omissions, notes }
}

function faultOf(
  { scope, mirrors }: NodeRule,
  { addressOf, mirrorHosts }: NodePlan,
): string | null {
  if (scope.kind === 'everything')
    return 'is for every host, and registries.conf has no such prefix; name the hosts, or *.example.com/**'
  const isShort = (host: string) => host.length <= prefixOf(scope).length
  const lost = mirrorHosts.find(
    (host) => scope.kind === 'subdomains' && covers(scope, { kind: 'host', host }) && isShort(host),
  )
  // Of two prefixes of one length the wildcard wins, which sorts first.
  if (lost !== undefined)
    return `is for ${prefixOf(scope)}, which would take the images of ${lost} too; name the hosts`
  const home = 'host' in scope ? [addressOf(scope.host)] : []
  const faults = [...home, ...mirrors.map(({ registry }) => registry)].map(locationFault)
  return faults.find((fault) => fault !== null) ?? null
}

function registryOf(rule: NodeRule, plan: NodePlan, options: RenderOptions): Registry {
  const { scope, mirrors, upstream } = rule
  const prefix = prefixOf(scope)
  const home = 'host' in scope ? plan.addressOf(scope.host) : null
  const byDigest = options.digestOnly && mirrors.length > 0
  const old = options.version !== null && lt(options.version, firstPullFromMirror)
  return {
    prefix,
    // Under a wildcard the location may be empty: the image is asked for where it stands.
    location: home === null ? '' : own(home, prefix).location,
    ...(home?.plainHttp === true && { insecure: true }),
    ...(!upstream && { blocked: true }),
    ...(byDigest && old && { 'mirror-by-digest-only': true }),
    ...(mirrors.length > 0 && { mirror: mirrors.map((each) => mirrorOf(each, byDigest && !old)) }),
  }
}

function mirrorOf(
  { registry, path }: NodeMirror,
  byDigest: boolean,
): { location: string; insecure?: boolean } {
  const location = [registryLocation(registry), path].filter(Boolean).join('/')
  return {
    location,
    ...(registry.plainHttp && { insecure: true }),
    ...(byDigest && { 'pull-from-mirror': 'digest-only' }),
  }
}

/** A registry of its own: found at its node address, which may have another name. */
function own(registry: NodeRegistry, prefix: string = registry.host): Registry {
  const { host, plainHttp } = registry
  const location = isMoved(registry)
    ? `${registryLocation(registry)}${prefix.slice(host.length)}`
    : prefix
  return { prefix, location, ...(plainHttp && { insecure: true }) }
}

/**
 * The prefix `anubis` would also take images of `anubis:5000`, because a prefix ends before a colon too. Such a neighbour
 * gets an entry of its own.
 */
function closeParents({ addressOf, rules }: NodePlan, registries: Map<string, Registry>): void {
  const hosts = rules.flatMap(({ scope, mirrors }) => [
    ...('host' in scope ? [scope.host] : []),
    ...mirrors.map(({ registry }) => registry.host),
  ])
  for (const host of hosts) {
    const portless = host.replace(/:[0-9]+$/, '')
    if (host !== portless && registries.has(portless) && !registries.has(host))
      registries.set(host, own(addressOf(host)))
  }
}

/** CA files stand where containers-certs.d(5) looks for them: under the host that is asked. */
function caFiles(registries: readonly NodeRegistry[]): NodeFile[] {
  const files = new Map(
    registries.flatMap((registry) =>
      registry.ca === null
        ? []
        : [[`certs.d/${registryLocation(registry)}/berth.crt`, registry.ca] as const],
    ),
  )
  return [...files].sort(([a], [b]) => compare(a, b)).map(([path, content]) => ({ path, content }))
}
