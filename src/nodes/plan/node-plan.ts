/**
 * From the table to what any node file could say: for a set of images, the mirrors in order, and whether the source may be
 * asked at last. Alternates never come this far: a node asks by tag, knows no digest to compare with, and shows the
 * credentials of one host to another.
 */
import type { Config } from '../../config/config.ts'
import type { PathPart } from '../../config/yaml-document.ts'
import type { ImagePattern } from '../../decision/fallback/image-pattern.ts'
import { exampleImage } from '../../decision/fallback/example-image.ts'
import { type Candidate, createCandidate, type FallbackRow } from '../../decision/fallback/table.ts'
import { renderTemplate, type ImageTemplate } from '../../decision/fallback/image-template.ts'
import { isFoundByName, type NodeRegistry, nodeRegistry } from './node-registry.ts'
import { covers, prefixOf, type ImageScope, scopeOf } from './scope.ts'

/** Something of the table that the files do not say, and where it stands. */
export interface NodeFinding {
  readonly path: readonly PathPart[]
  readonly message: string
}

export interface NodeMirror {
  readonly registry: NodeRegistry
  /** What stands on the mirror in the place of the scope's path: empty, or segments joined by `/`. */
  readonly path: string
}

export interface NodeRule {
  readonly scope: ImageScope
  readonly row: string
  /** The pattern's place in the config. */
  readonly configPath: readonly PathPart[]
  /** In the order of the row. */
  readonly mirrors: readonly NodeMirror[]
  /** True when the registry that the image names is asked at last. */
  readonly upstream: boolean
}

export interface NodePlan {
  /** Sorted by scope, none covered by another row before it. */
  readonly rules: readonly NodeRule[]
  /** Registries that a node cannot find or trust by their name alone. */
  readonly registries: readonly NodeRegistry[]
  /** Where a host's own registry is. */
  readonly addressOf: (host: string) => NodeRegistry
  readonly isMirror: (host: string) => boolean
  /** Every registry of the operator's own, sorted. */
  readonly mirrorHosts: readonly string[]
  readonly airGap: boolean
  readonly omissions: readonly NodeFinding[]
  /** Left out by rule, and no loss: alternates. */
  readonly notes: readonly NodeFinding[]
}

export interface PlanOptions {
  /** True: no registry but mirrors is ever asked. */
  readonly airGap: boolean
}

interface Context {
  readonly config: Config
  readonly airGap: boolean
  readonly omissions: NodeFinding[]
  readonly notes: NodeFinding[]
}

export function planNodes(config: Config, { airGap }: PlanOptions): NodePlan {
  const context: Context = { config, airGap, omissions: [], notes: [] }
  const taken: ImageScope[] = []
  const rules: NodeRule[] = []
  for (const [index, row] of config.table.rows.entries()) {
    const scopes = row.images.flatMap((pattern, position) =>
      scopesOf(context, { row, pattern, place: ['fallback', index, 'images', position] }),
    )
    const free = scopes.filter(({ scope }) => !taken.some((each) => takes(config, each, scope)))
    const isWritten = hasNoTags(context, row, index)
    taken.push(...free.map(({ scope }) => scope))
    if (!isWritten) continue
    const reported = { omissions: new Set<number>(), notes: new Set<number>() }
    for (const each of free) {
      const rule = ruleOf(context, { ...each, row, index, reported })
      if (rule !== null) rules.push(rule)
    }
  }
  const isMirror = (host: string) => config.table.mirrors.has(host)
  return {
    rules: rules.sort((one, other) => compare(prefixOf(one.scope), prefixOf(other.scope))),
    registries: ownRegistries(config, airGap),
    addressOf: (host) => nodeRegistry(host, config.registries.get(host)),
    isMirror,
    mirrorHosts: [...config.table.mirrors].sort(compare),
    airGap,
    omissions: context.omissions,
    notes: context.notes,
  }
}

/** An image on a mirror is taken by rows that name the mirror, and by no others. */
function takes({ table }: Config, outer: ImageScope, inner: ImageScope): boolean {
  const isOnMirror = 'host' in inner && table.mirrors.has(inner.host)
  return covers(outer, inner) && (!isOnMirror || 'host' in outer)
}

/** By code unit, so that the order is the same under every locale. */
export function compare(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}

function ownRegistries({ registries }: Config, airGap: boolean): NodeRegistry[] {
  return [...registries.values()]
    .filter(({ mirror }) => mirror || !airGap)
    .map((settings) => nodeRegistry(settings.host, settings))
    .filter((registry) => !isFoundByName(registry))
    .sort((one, other) => compare(one.host, other.host))
}

interface Site {
  readonly row: FallbackRow
  readonly pattern: ImagePattern
  readonly place: readonly PathPart[]
}

type Placed = Pick<NodeRule, 'scope' | 'place'> & { readonly pattern: ImagePattern }

/** What the pattern means; one scope for each listed host where a template puts the host of any image into a path. */
function scopesOf(context: Context, { row, pattern, place }: Site): Placed[] {
  const scope = scopeOf(pattern)
  if (scope === null) {
    const message = `${pattern.text} is no host, path prefix or repository, and node files know nothing else; name one, such as ghcr.io/acme/**`
    context.omissions.push({ path: place, message })
    return []
  }
  if ('host' in scope) return [{ scope, configPath, pattern }]
  const isWithin = (host: string) =>
    !context.config.table.mirrors.has(host) && covers(scope, { kind: 'host', host })
  const atHost = (host: string): Placed => ({ scope: { kind: 'host', host }, configPath, pattern })
  if (!row.try.some((each) => each.host !== null && each.variables.has('host'))) {
    // To images of a host that a template names, that template is the original, and to others it is an alternate.
    const named = row.try.flatMap(({ host }) => (host !== null && isWithin(host) ? [host] : []))
    return [...[...new Set(named)].map(atHost), { scope, configPath, pattern }]
  }
  const hosts = [...context.config.registries.keys()].filter(isWithin).sort(compare)
  const listed = hosts.length === 0 ? 'none is listed' : `only ${hosts.join(', ')}`
  const message = `${pattern.text} means hosts without end, and a node cannot put each into a path: ${listed}; list the others under registries, and write a row for them`
  context.omissions.push({ path: place, message })
  return hosts.map(atHost)
}

function hasNoTags({ omissions }: Context, { tags, name }: FallbackRow, index: number): boolean {
  if (tags.size === 0) return true
  const message = `row ${name} asks for another tag, and a node asks for the tag of the image; leave the row to the webhook`
  omissions.push({ path: ['fallback', index, 'tags'], message })
  return false
}

interface Subject extends Placed {
  readonly row: FallbackRow
  readonly index: number
  /** Templates that have been told of, for the row's other patterns. */
  readonly reported: { readonly omissions: Set<number>; readonly notes: Set<number> }
}

function ruleOf(context: Context, subject: Subject): NodeRule | null {
  const { scope, row, configPath } = subject
  const { mirrors, isOriginal } = walk(context, subject)
  const isMirror = 'host' in scope && context.config.table.mirrors.has(scope.host)
  const upstream = (isOriginal || row.otherwise === 'keep') && (!context.airGap || isMirror)
  if (mirrors.length > 0 || upstream) return { scope, row: row.name, configPath, mirrors, upstream }
  const why = context.airGap ? 'in an air gap' : `with otherwise: ${row.otherwise}`
  const message = `row ${row.name} leaves nowhere to pull ${prefixOf(scope) || 'any image'} from ${why}; name a mirror in it`
  context.omissions.push({ path: configPath, message })
  return null
}

/** The row's templates in order: mirrors, and whether the original is among them. What is left out is told of once a row. */
function walk(
  context: Context,
  subject: Subject,
): { readonly mirrors: NodeMirror[]; readonly isOriginal: boolean } {
  const { scope, row, index, reported } = subject
  const mirrors: NodeMirror[] = []
  let isOriginal = false
  for (const [position, template] of row.try.entries()) {
    const { kind, reference } = candidateOf(context, subject, template)
    const tell = (to: 'omissions' | 'notes', why: string) => {
      const path = ['fallback', index, 'try', position]
      if (!reported[to].has(position))
        context[to].push({ path, message: `${template.text} ${why}` })
      reported[to].add(position)
    }
    // With the port of a host in its path, for example, it is no name: the table passes it by as well.
    if (reference === null) continue
    if (kind === 'original') isOriginal = true
    else if (kind === 'alternate')
      tell('notes', "is another publisher's copy, which only the webhook takes")
    else if (isOriginal)
      tell('omissions', 'stands behind the original, which a node asks last; put it before')
    else {
      const mirror = mirrorOf(context.config, scope, template)
      if (typeof mirror === 'string') tell('omissions', mirror)
      else mirrors.push(mirror)
    }
  }
  return { mirrors, isOriginal }
}

function candidateOf(
  { config }: Context,
  { scope, pattern, row }: Subject,
  template: ImageTemplate,
): Candidate {
  const image = exampleImage(pattern)
  // Under a hostless pattern the sample may have one segment, which Docker Hub would put into library/.
  const path = image.path.includes('/') || pattern.host !== null ? image.path : `a/${image.path}`
  const reference = 'host' in scope ? { ...image, path, domain: scope.host } : image
  return createCandidate(config.table, row, template, { reference, namespace: 'default' })
}

/** Where the template brings the images of the scope; or why that is no fixed place. */
function mirrorOf(
  { registries }: Config,
  scope: ImageScope,
  template: ImageTemplate,
): NodeMirror | string {
  const { text, variables } = template
  if (variables.has('namespace'))
    return 'has {namespace}, and a node does not know the pod of a pull'
  const location = locationOf(scope, text, template)
  if (location === null) {
    return 'changes the names of repositories, and a node only puts something before them; end it with /{path}'
  }
  const slash = location.indexOf('/')
  const host = slash < 0 ? location : location.slice(0, slash)
  const path = slash < 0 ? '' : location.slice(slash + 1)
  return { registry: nodeRegistry(host, registries.get(host)), path }
}

function locationOf(scope: ImageScope, text: string, template: ImageTemplate): string | null {
  if (scope.kind === 'repository') {
    const reference = { domain: scope.host, path: scope.path, tag: null, digest: null }
    return renderTemplate(template, { reference, namespace: 'default' })
  }
  if (!text.endsWith('/{path}') || /\{(path|name)\}/.test(text.slice(0, -'/{path}'.length)))
    return null
  const head = text.slice(0, -'/{path}'.length)
  if (!('host' in scope)) return head.includes('{host}') ? null : head
  return [
    head.replaceAll('{host}', scope.host),
    ...(scope.kind === 'prefix' ? [scope.path] : []),
  ].join('/')
}
