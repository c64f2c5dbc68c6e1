/** One entry for each host, for formats that cannot configure a part of a host: containerd and K3s. */
import { defaultDomain } from '../../decision/reference/reference.ts'
import { compareText } from '../../text/compare.ts'
import type { NodeRegistry } from '../plan/node-registry.ts'
import type { NodeFinding, NodeMirror, NodePlan, NodeRule } from '../plan/node-plan.ts'
import { prefixOf } from '../plan/scope.ts'

export interface HostEntry {
  /** Null for every host without its own entry. */
  readonly host: string | null
  readonly mirrors: readonly NodeMirror[]
  /** The host's own registry; null when it must not be asked, `any` when the host is not known. */
  readonly upstream: NodeRegistry | 'any' | null
}

export interface HostTable {
  readonly entries: readonly HostEntry[]
  readonly omissions: readonly NodeFinding[]
}

/** Returns the entries, sorted by host. Omissions are rules for a part of a host that differ from the rule of the host. */
export function hostTable(plan: NodePlan, format: string): HostTable {
  const byHost = new Map<string | null, HostEntry>()
  const omissions: NodeFinding[] = []
  for (const rule of plan.rules) {
    const { scope } = rule
    if (scope.kind === 'host') byHost.set(scope.host, entryOf(plan, rule, scope.host))
    else if (scope.kind === 'everything') byHost.set(null, entryOf(plan, rule, null))
    else if (!isImpliedByHost(plan, rule))
      omissions.push({ path: rule.configPath, message: partOfHostMessage(rule, format) })
  }
  for (const registry of plan.registries) {
    if (!byHost.has(registry.host))
      byHost.set(registry.host, { host: registry.host, mirrors: [], upstream: registry })
  }
  const isKept = (entry: HostEntry) =>
    isNeeded(plan, entry) || (entry.host !== null && byHost.has(null))
  // An entry for every host would also apply to the mirrors, and an image on a mirror belongs to no other row.
  if (byHost.has(null)) addMirrors(plan, byHost)
  const entries = [...byHost.values()].filter(isKept)
  return { entries: entries.sort((a, b) => compareText(a.host ?? '', b.host ?? '')), omissions }
}

function entryOf(plan: NodePlan, { mirrors, upstream }: NodeRule, host: string | null): HostEntry {
  if (!upstream) return { host, mirrors, upstream: null }
  return { host, mirrors, upstream: host === null ? 'any' : plan.registryOf(host) }
}

/** False for an entry that only says what the runtime does without it. */
function isNeeded({ registries }: NodePlan, { host, mirrors, upstream }: HostEntry): boolean {
  return mirrors.length > 0 || upstream === null || registries.some((each) => each.host === host)
}

function addMirrors(
  { mirrorHosts, registryOf }: NodePlan,
  byHost: Map<string | null, HostEntry>,
): void {
  for (const host of mirrorHosts) {
    if (!byHost.has(host)) byHost.set(host, { host, mirrors: [], upstream: registryOf(host) })
  }
}

/** True if the rule of the whole host sends this part of it to the same registries. */
function isImpliedByHost({ rules }: NodePlan, rule: NodeRule): boolean {
  const { scope } = rule
  if (scope.kind !== 'prefix' && scope.kind !== 'repository') return false
  const hostRule =
    rules.find((each) => each.scope.kind === 'host' && each.scope.host === scope.host) ??
    rules.find((each) => each.scope.kind === 'everything')
  if (hostRule === undefined) return rule.mirrors.length === 0 && rule.upstream
  const locations = (mirrors: readonly NodeMirror[], path: string | null) =>
    mirrors
      .map((each) => [each.registry.host, ...[each.path, path ?? ''].filter(Boolean)].join('/'))
      .join(' ')
  return (
    rule.upstream === hostRule.upstream &&
    locations(rule.mirrors, null) === locations(hostRule.mirrors, scope.path)
  )
}

function partOfHostMessage({ scope, row }: NodeRule, format: string): string {
  const name = prefixOf(scope)
  if (scope.kind === 'subdomains')
    return `row ${row} is for ${name}, and ${format} has no wildcards for hosts; name each host`
  const host = scope.kind === 'everything' ? defaultDomain : scope.host
  return `row ${row} is for ${name}, and ${format} configures ${host} only as a whole; leave the row to the webhook, or write it for ${host}/**`
}
