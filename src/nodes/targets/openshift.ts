/**
 * ImageDigestMirrorSet and ImageTagMirrorSet (config.openshift.io/v1), with what the cluster's image config needs beside
 * them. One object a kind: several would be merged, and orders that contradict each other have no specified result.
 */
import { lt } from 'semver'
import { stringify } from 'yaml'
import type { NodeRegistry } from '../plan/node-registry.ts'
import { isMoved, locationFault, registryLocation, wildcardFault } from './registry-location.ts'
import { compare, type NodeFinding, type NodePlan, type NodeRule } from '../plan/node-plan.ts'
import { covers, prefixOf } from '../plan/scope.ts'
import type { Rendered, RenderOptions, Target } from './target.ts'

export const openshift: Target = {
  directory: null,
  restart:
    'the Machine Config Operator drains and reboots node after node for an ImageTagMirrorSet and for a change of the image config; an ImageDigestMirrorSet needs neither',
  render,
}

/** ImageContentSourcePolicy came before, and knows digests only. */
const firstMirrorSets = '4.13.0'

const mirrorsName = 'berth-mirrors'
const caName = 'berth-registry-cas'

interface Entry {
  readonly source: string
  readonly mirrors: readonly string[]
  readonly mirrorSourcePolicy: 'AllowContactingSource' | 'NeverContactSource'
}

function render(plan: NodePlan, { digestOnly, version }: RenderOptions): Rendered {
  const omissions: NodeFinding[] = []
  if (version !== null && lt(version, firstMirrorSets))
    omissions.push({
      path: [],
      message: `OpenShift ${version.version} has no ImageDigestMirrorSet; it came with ${firstMirrorSets}`,
    })
  const entries: Entry[] = []
  for (const rule of plan.rules) {
    const fault = faultOf(rule, plan) ?? wildcardFault(rule, plan.rules)
    if (fault !== null)
      omissions.push({ path: rule.configPath, message: `row ${rule.row} ${fault}` })
    else entries.push(...entryOf(rule, plan))
  }
  const sources = new Set(entries.map(({ source }) => source))
  for (const { host, ...rest } of plan.registries.filter(isMoved)) {
    const mirrors = [registryLocation({ host, ...rest })]
    if (!sources.has(host))
      entries.push({ source: host, mirrors, mirrorSourcePolicy: 'NeverContactSource' })
  }
  entries.sort((one, other) => compare(one.source, other.source))
  const registries = unique([
    ...plan.rules.flatMap(({ mirrors }) => mirrors.map(({ registry }) => registry)),
    ...plan.registries,
  ])
  const objects = [
    mirrorSet('ImageDigestMirrorSet', 'imageDigestMirrors', entries),
    ...(digestOnly ? [] : [mirrorSet('ImageTagMirrorSet', 'imageTagMirrors', entries)]),
    ...imageConfig(registries),
  ]
  const content = objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n')
  return {
    files: [{ path: 'image-mirrors.yaml', content }],
    omissions,
    notes: notesFor(registries, digestOnly),
  }
}

function notesFor(registries: readonly NodeRegistry[], digestOnly: boolean): string[] {
  const notes = [
    'nodes take credentials for mirrors from the global pull secret alone (openshift-config/pull-secret)',
  ]
  if (!digestOnly)
    notes.push('with every tag pinned by the webhook, --digest-only spares the nodes a reboot')
  if (registries.some(({ plainHttp, ca }) => plainHttp || ca !== null))
    notes.push(
      'Image/cluster is one object for the whole cluster: merge its lists with what is there',
    )
  return notes
}

function faultOf(
  { scope, mirrors }: NodeRule,
  { addressOf, mirrorHosts }: NodePlan,
): string | null {
  if (scope.kind === 'everything')
    return 'is for every host, and a mirror set names its sources; name the hosts, or *.example.com/**'
  if ('host' in scope && scope.host.startsWith('['))
    return `is for ${scope.host}, and a source is no IPv6 address`
  const own = mirrorHosts.find(
    (host) => scope.kind === 'subdomains' && covers(scope, { kind: 'host', host }),
  )
  if (own !== undefined)
    return `is for ${prefixOf(scope)}, which would take the images of ${own} too; name the hosts`
  const home = 'host' in scope ? [addressOf(scope.host)] : []
  const faults = [...home, ...mirrors.map(({ registry }) => registry)].map(locationFault)
  return faults.find((fault) => fault !== null) ?? null
}

function entryOf({ scope, mirrors, upstream }: NodeRule, { addressOf }: NodePlan): Entry[] {
  const source = prefixOf(scope)
  const home = 'host' in scope ? addressOf(scope.host) : null
  // The only way to tell of a source at another address is to make that its last mirror.
  const isElsewhere = home !== null && isMoved(home)
  const places = mirrors.map(({ registry, path }) =>
    [registryLocation(registry), path].filter(Boolean).join('/'),
  )
  if (isElsewhere && upstream)
    places.push(`${registryLocation(home)}${source.slice(home.host.length)}`)
  // The API refuses a source among its own mirrors.
  const others = [...new Set(places)].filter((each) => each !== source)
  if (others.length === 0) return []
  const isOpen = upstream && !isElsewhere
  return [
    {
      source,
      mirrors: others,
      mirrorSourcePolicy: isOpen ? 'AllowContactingSource' : 'NeverContactSource',
    },
  ]
}

function mirrorSet(kind: string, key: string, entries: readonly Entry[]): object {
  return {
    apiVersion: 'config.openshift.io/v1',
    kind,
    metadata: { name: mirrorsName },
    spec: { [key]: entries },
  }
}

function imageConfig(registries: readonly NodeRegistry[]): object[] {
  const insecure = registries
    .filter(({ plainHttp }) => plainHttp)
    .map(registryLocation)
    .sort()
  const trusted = registries.filter(({ ca }) => ca !== null)
  if (insecure.length === 0 && trusted.length === 0) return []
  const spec = {
    ...(trusted.length > 0 && { additionalTrustedCA: { name: caName } }),
    ...(insecure.length > 0 && { registrySources: { insecureRegistries: insecure } }),
  }
  const image = {
    apiVersion: 'config.openshift.io/v1',
    kind: 'Image',
    metadata: { name: 'cluster' },
    spec,
  }
  if (trusted.length === 0) return [image]
  // A ConfigMap's key has no colon; two dots stand for it (OpenShift, "Configuring additional trust stores").
  const data = trusted
    .map((each) => [registryLocation(each).replace(':', '..'), each.ca] as const)
    .sort(([a], [b]) => compare(a, b))
  const authorities = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: caName, namespace: 'openshift-config' },
    data: Object.fromEntries(data),
  }
  return [authorities, image]
}

function unique(registries: readonly NodeRegistry[]): NodeRegistry[] {
  return [...new Map(registries.map((each) => [each.host, each])).values()]
}
