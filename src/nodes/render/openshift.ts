/**
 * Renders ImageDigestMirrorSet and ImageTagMirrorSet (config.openshift.io/v1), and the image config that they need. One
 * object of each kind: several are merged, and the result is not specified when their orders contradict each other.
 */
import { lt } from 'semver'
import { stringify } from 'yaml'
import type { NodeRegistry } from '../plan/node-registry.ts'
import {
  isMoved,
  locationProblem,
  mirrorLocation,
  registryLocation,
  wildcardProblem,
} from './registry-location.ts'
import { compareText } from '../../text/compare.ts'
import type { NodeFinding, NodePlan, NodeRule } from '../plan/node-plan.ts'
import { covers, prefixOf } from '../plan/scope.ts'
import type { RenderedTarget, RenderOptions, Target } from './target.ts'

export const openshift: Target = {
  directory: null,
  restart:
    'the Machine Config Operator drains and reboots each node for an ImageTagMirrorSet and for a change of the image config, but not for an ImageDigestMirrorSet',
  render,
}

/** The first OpenShift with both kinds. ImageContentSourcePolicy, which they replaced, supports only digests. */
const firstMirrorSets = '4.13.0'

const mirrorsName = 'berth-mirrors'
const caName = 'berth-registry-cas'

/** An item of `imageDigestMirrors` and `imageTagMirrors`. */
interface MirrorEntry {
  readonly source: string
  readonly mirrors: readonly string[]
  readonly mirrorSourcePolicy: 'AllowContactingSource' | 'NeverContactSource'
}

function render(plan: NodePlan, { digestOnly, version }: RenderOptions): RenderedTarget {
  const omissions: NodeFinding[] = []
  if (version !== null && lt(version, firstMirrorSets))
    omissions.push({
      path: [],
      message: `OpenShift ${version.version} has no ImageDigestMirrorSet; it came with ${firstMirrorSets}`,
    })
  const entries: MirrorEntry[] = []
  for (const rule of plan.rules) {
    const problem =
      scopeProblem(rule, plan) ?? locationProblem(rule, plan) ?? wildcardProblem(rule, plan.rules)
    if (problem !== null)
      omissions.push({ path: rule.configPath, message: `row ${rule.row} ${problem}` })
    else for (const entry of entriesFor(rule, plan)) entries.push(entry)
  }
  const sources = new Set(entries.map(({ source }) => source))
  for (const registry of plan.registries.filter(isMoved)) {
    const mirrors = [registryLocation(registry)]
    if (!sources.has(registry.host))
      entries.push({ source: registry.host, mirrors, mirrorSourcePolicy: 'NeverContactSource' })
  }
  entries.sort((one, other) => compareText(one.source, other.source))
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
    'nodes take credentials for mirrors only from the global pull secret (openshift-config/pull-secret)',
  ]
  if (!digestOnly)
    notes.push('if the webhook pins every tag, --digest-only avoids the reboot of the nodes')
  if (registries.some(({ plainHttp, ca }) => plainHttp || ca !== null))
    notes.push(
      'the Image object "cluster" exists once per cluster: merge these lists with its present ones',
    )
  return notes
}

function scopeProblem({ scope }: NodeRule, { mirrorHosts }: NodePlan): string | null {
  if (scope.kind === 'everything')
    return 'is for every host, and a mirror set needs named sources; name the hosts, or *.example.com/**'
  if ('host' in scope && scope.host.startsWith('['))
    return `is for ${scope.host}, and a source cannot be an IPv6 address`
  const shadowed = mirrorHosts.find(
    (host) => scope.kind === 'subdomains' && covers(scope, { kind: 'host', host }),
  )
  if (shadowed === undefined) return null
  return `is for ${prefixOf(scope)}, which would also match the images of the mirror ${shadowed}; name the hosts`
}

function entriesFor(
  { scope, mirrors, upstream }: NodeRule,
  { registryOf }: NodePlan,
): MirrorEntry[] {
  const source = prefixOf(scope)
  const registry = 'host' in scope ? registryOf(scope.host) : null
  // A mirror set has no address for its source, so a source at another address becomes the last mirror.
  const isElsewhere = registry !== null && isMoved(registry)
  const locations = mirrors.map(mirrorLocation)
  if (isElsewhere && upstream)
    locations.push(`${registryLocation(registry)}${source.slice(registry.host.length)}`)
  // The API rejects a source among its own mirrors.
  const others = [...new Set(locations)].filter((each) => each !== source)
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

function mirrorSet(kind: string, key: string, entries: readonly MirrorEntry[]): object {
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
  // A ConfigMap key cannot contain a colon; two dots replace it (OpenShift, "Configuring additional trust stores").
  const data = trusted
    .map((each) => [registryLocation(each).replace(':', '..'), each.ca] as const)
    .sort(([a], [b]) => compareText(a, b))
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
