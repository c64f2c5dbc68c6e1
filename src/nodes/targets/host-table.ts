/** For formats that know whole hosts and nothing finer (containerd, K3s): one entry a host, from the rules. */
import { defaultDomain } from '../../decision/reference/reference.ts'
import type { NodeRegistry } from '../plan/node-registry.ts'
import {
  compare,
  type NodeFinding,
  type NodeMirror,
  type NodePlan,
  type NodeRule,
} from '../plan/node-plan.ts'
import { prefixOf } from '../plan/scope.ts'

export interface HostEntry {
  /** Null: every host without an entry of its own. */
  readonly host: string | null
  readonly mirrors: readonly NodeMirror[]
  /** The host's own registry; null when it must not be asked. `any` where the host is not known. */
  readonly upstream: NodeRegistry | 'any' | null
}

export interface HostTable {
  readonly entries: readonly HostEntry[]
  readonly omissions: readonly NodeFinding[]
}

/** The entries, sorted by host, and the rules that are finer than a host and say something else than it. */
export function hostTable(plan: NodePlan, format: string): HostTable {
  const byHost = new Map<string | null, HostEntry>()
  const omissions: NodeFinding[] = []
  for (const rule of plan.rules) {
    const { scope } = rule
    if (scope.kind === 'host') byHost.set(scope.host, entryOf(plan, rule, scope.host))
    else if (scope.kind === 'everything') byHost.set(null, entryOf(plan, rule, null))
    else if (!saysTheSame(plan, rule))
      omissions.push({ path: rule.configPath, message: tooFine(rule, format) })
  }
  for (const registry of plan.registries) {
    if (!byHost.has(registry.host))
      byHost.set(registry.host, { host: registry.host, mirrors: [], upstream: registry })
  }
  const keeps = (entry: HostEntry) =>
    isNeeded(plan, entry) || (entry.host !== null && byHost.has(null))
  // What takes every host would take the mirrors themselves, and images on a mirror are no other row's.
  if (byHost.has(null)) addMirrors(plan, byHost)
  const entries = [...byHost.values()].filter(keeps)
  return { entries: entries.sort((a, b) => compare(a.host ?? '', b.host ?? '')), omissions }
}

function entryOf(plan: NodePlan, { mirrors, upstream }: NodeRule, host: string | null): HostEntry {
  if (!upstream) return { host, mirrors, upstream: null }
  return { host, mirrors, upstream: host === null ? 'any' : plan.addressOf(host) }
}

/** An entry that says no more than the runtime does without it is left out. */
function isNeeded({ registries }: NodePlan, { host, mirrors, upstream }: HostEntry): boolean {
  return mirrors.length > 0 || upstream === null || registries.some((each) => each.host === host)
}

function addMirrors(
  { mirrorHosts, addressOf }: NodePlan,
  byHost: Map<string | null, HostEntry>,
): void {
  for (const host of mirrorHosts) {
    if (!byHost.has(host)) byHost.set(host, { host, mirrors: [], upstream: addressOf(host) })
  }
}

/** A rule for a part of a host is no loss where the host's rule sends that part to the same places. */
function saysTheSame({ rules }: NodePlan, rule: NodeRule): boolean {
  const { scope } = rule
  if (scope.kind !== 'prefix' && scope.kind !== 'repository') return false
  const whole =
    rules.find((each) => each.scope.kind === 'host' && each.scope.host === scope.host) ??
    rules.find((each) => each.scope.kind === 'everything')
  if (whole === undefined) return rule.mirrors.length === 0 && rule.upstream
  const below = (mirrors: readonly NodeMirror[], path: string | null) =>
    mirrors
      .map((each) => [each.registry.host, ...[each.path, path ?? ''].filter(Boolean)].join('/'))
      .join(' ')
  return (
    rule.upstream === whole.upstream &&
    below(rule.mirrors, null) === below(whole.mirrors, scope.path)
  )
}

function tooFine({ scope, row }: NodeRule, format: string): string {
  const name = prefixOf(scope)
  if (scope.kind === 'subdomains')
    return `row ${row} is for ${name}, and ${format} knows hosts by their whole name; name each host`
  const host = scope.kind === 'everything' ? defaultDomain : scope.host
  return `row ${row} is for ${name}, and ${format} knows ${host} as a whole only; leave the row to the webhook, or write it for ${host}/**`
}
