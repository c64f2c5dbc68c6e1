/**
 * Plans what the fallback table means for nodes: for each set of images, the mirrors in order, and whether the upstream
 * is asked last. Alternates are left to the webhook: a node pulls by tag, has no digest to compare with, and would send
 * the credentials of one registry to another.
 */
import type { Config } from '../../config/config.ts'
import type { PathPart } from '../../config/problem.ts'
import type { ImagePattern } from '../../decision/fallback/image-pattern.ts'
import { exampleImage } from '../../decision/fallback/example-image.ts'
import { canonicalHost, canonicalReference } from '../../decision/fallback/registry-aliases.ts'
import {
  type Candidate,
  createCandidate,
  type FallbackRow,
  type FallbackTable,
} from '../../decision/fallback/table.ts'
import {
  renderTemplate,
  type ImageTemplate,
  withHost,
} from '../../decision/fallback/image-template.ts'
import { compareText } from '../../text/compare.ts'
import { isFoundByName, type NodeRegistry, nodeRegistry } from './node-registry.ts'
import { covers, prefixOf, type ImageScope, scopeOf } from './scope.ts'

/** A part of the table that the files leave out, with its path in the config. */
export interface NodeFinding {
  readonly path: readonly PathPart[]
  readonly message: string
}

export interface NodeMirror {
  readonly registry: NodeRegistry
  /** The path on the mirror that replaces the scope's path: empty, or segments joined by `/`. */
  readonly path: string
}

export interface NodeRule {
  readonly scope: ImageScope
  readonly row: string
  /** The path of the pattern in the config. */
  readonly configPath: readonly PathPart[]
  /** In the order of the row. */
  readonly mirrors: readonly NodeMirror[]
  /** True if the registry that the image names is asked last. */
  readonly upstream: boolean
}

export interface NodePlan {
  /** Sorted by scope; none is covered by an earlier row. */
  readonly rules: readonly NodeRule[]
  /** Registries that a node cannot find or trust by their name alone. */
  readonly registries: readonly NodeRegistry[]
  /** Returns a host's own registry. */
  readonly registryOf: (host: string) => NodeRegistry
  readonly isMirror: (host: string) => boolean
  /** Hosts with `mirror: true`, sorted. */
  readonly mirrorHosts: readonly string[]
  readonly airGap: boolean
  readonly omissions: readonly NodeFinding[]
  /** Alternates, which are left out on purpose. */
  readonly notes: readonly NodeFinding[]
}

export interface PlanOptions {
  /** True: only mirrors are asked. */
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
  const taken: TakenScope[] = []
  const rules: NodeRule[] = []
  for (const [index, row] of config.table.rows.entries()) {
    if (reportCondition(context, row, index)) continue
    const subjects = row.images.flatMap((pattern, position) =>
      subjectsOf(context, { row, pattern, configPath: ['fallback', index, 'images', position] }),
    )
    const free = subjects.filter(({ scope }) => !taken.some((each) => isTaken(config, each, scope)))
    for (const { scope } of free) taken.push({ scope, leave: row.leave })
    if (reportTagMap(context, row, index)) continue
    const reportedTemplates = { omissions: new Set<number>(), notes: new Set<number>() }
    for (const subject of free) {
      const rule = planRule(context, { ...subject, row, index, reportedTemplates })
      if (rule !== null) rules.push(rule)
    }
  }
  const isMirror = (host: string) => config.table.mirrors.has(host)
  return {
    rules: rules.sort((one, other) => compareText(prefixOf(one.scope), prefixOf(other.scope))),
    registries: registriesToConfigure(config, airGap),
    registryOf: (host) => nodeRegistry(host, config.registries.get(host)),
    isMirror,
    mirrorHosts: [...config.table.mirrors.keys()].sort(compareText),
    airGap,
    omissions: context.omissions,
    notes: context.notes,
  }
}

/** A scope of an earlier row. */
interface TakenScope {
  readonly scope: ImageScope
  readonly leave: boolean
}

/** An image on a mirror is matched only by rows that name the mirror, or that leave their images unchanged. */
function isTaken({ table }: Config, { scope, leave }: TakenScope, inner: ImageScope): boolean {
  const isOnMirror = 'host' in inner && table.mirrors.has(inner.host)
  return covers(scope, inner) && (!isOnMirror || leave || 'host' in scope)
}

function registriesToConfigure({ registries }: Config, airGap: boolean): NodeRegistry[] {
  return [...registries.values()]
    .filter(({ mirror }) => mirror || !airGap)
    .map((settings) => nodeRegistry(settings.host, settings))
    .filter((registry) => !isFoundByName(registry))
    .sort((one, other) => compareText(one.host, other.host))
}

interface RowPattern {
  readonly row: FallbackRow
  readonly pattern: ImagePattern
  readonly configPath: readonly PathPart[]
}

/** A scope with the pattern that it comes from. */
type ScopedPattern = Pick<NodeRule, 'scope' | 'configPath'> & { readonly pattern: ImagePattern }

/** Returns the scopes of a pattern: several if a template puts the host of any image into a path, one for each listed host. */
function subjectsOf(context: Context, { row, pattern, configPath }: RowPattern): ScopedPattern[] {
  const scope = scopeOf(pattern)
  if (scope === null) {
    const message = `${pattern.text} is not a host, a path prefix or a repository, and node files know nothing else; use one of them, such as ghcr.io/acme/**`
    context.omissions.push({ path: configPath, message })
    return []
  }
  if ('host' in scope) return [{ scope, configPath, pattern }]
  const isWithin = (host: string) =>
    !context.config.table.mirrors.has(host) && covers(scope, { kind: 'host', host })
  const forHost = (host: string): ScopedPattern => ({
    scope: { kind: 'host', host },
    configPath,
    pattern,
  })
  if (!row.try.some((each) => each.host !== null && each.variables.has('host'))) {
    // For images of the host that a template names, the template is the original; for other images it is an alternate.
    const named = row.try.flatMap(({ host }) => (host !== null && isWithin(host) ? [host] : []))
    return [...[...new Set(named)].map(forHost), { scope, configPath, pattern }]
  }
  const hosts = [...context.config.registries.keys()].filter(isWithin).sort(compareText)
  const listed = hosts.length === 0 ? 'none is listed' : `only ${hosts.join(', ')}`
  const message = `${pattern.text} matches any number of hosts, and a node cannot put the host of an image into a path, so the files cover listed hosts: ${listed}; list the others under registries, and write a row for them`
  context.omissions.push({ path: configPath, message })
  return hosts.map(forHost)
}

/** Returns true, and reports the row, if it is for some pods only. Its images keep what later rows say about them. */
function reportCondition(
  { omissions }: Context,
  { name, when }: FallbackRow,
  index: number,
): boolean {
  if (when === null) return false
  const message = `row ${name} is for some pods only (${when.text}), and a node does not know the pod of a pull; leave the row to the webhook`
  omissions.push({ path: ['fallback', index, 'when'], message })
  return true
}

/** Returns true, and reports the row, if it maps tags. */
function reportTagMap({ omissions }: Context, { tags, name }: FallbackRow, index: number): boolean {
  if (tags.size === 0) return false
  const message = `row ${name} maps tags, and a node always pulls the tag of the image; leave the row to the webhook`
  omissions.push({ path: ['fallback', index, 'tags'], message })
  return true
}

interface RuleSubject extends ScopedPattern {
  readonly row: FallbackRow
  readonly index: number
  /** Positions of templates that another pattern of the row has reported. */
  readonly reportedTemplates: {
    readonly omissions: Set<number>
    readonly notes: Set<number>
  }
}

function planRule(context: Context, subject: RuleSubject): NodeRule | null {
  const { scope, row, configPath } = subject
  const { mirrors, hasOriginal } = planTemplates(context, subject)
  const isMirror = 'host' in scope && context.config.table.mirrors.has(scope.host)
  const upstream = (hasOriginal || row.otherwise === 'keep') && (!context.airGap || isMirror)
  if (mirrors.length > 0 || upstream) return { scope, row: row.name, configPath, mirrors, upstream }
  const why = context.airGap ? 'in an air gap' : `with otherwise: ${row.otherwise}`
  const message = `row ${row.name} leaves no registry to pull ${prefixOf(scope) || 'any image'} from ${why}; add a mirror to it`
  context.omissions.push({ path: configPath, message })
  return null
}

/** Returns the mirrors among the row's templates, in order, and whether the original is among them. Reports each template that is left out, once for each row. */
function planTemplates(
  context: Context,
  subject: RuleSubject,
): { readonly mirrors: NodeMirror[]; readonly hasOriginal: boolean } {
  const { scope, row, index, reportedTemplates } = subject
  const mirrors: NodeMirror[] = []
  let hasOriginal = false
  for (const [position, template] of row.try.entries()) {
    const { kind, reference } = exampleCandidate(context, subject, template)
    const report = (list: 'omissions' | 'notes', why: string) => {
      const path = ['fallback', index, 'try', position]
      if (!reportedTemplates[list].has(position))
        context[list].push({ path, message: `${template.text} ${why}` })
      reportedTemplates[list].add(position)
    }
    // Not an image name, for example because it is too long. The table skips it too.
    if (reference === null) continue
    if (kind === 'original') hasOriginal = true
    else if (kind === 'alternate')
      report('notes', "is another publisher's copy, which only the webhook uses")
    else if (hasOriginal)
      report('omissions', 'comes after the original, which a node asks last; put it first')
    else {
      const mirror = mirrorOf(context.config, scope, template)
      if (typeof mirror === 'string') report('omissions', mirror)
      else if (!mirrors.some((each) => isSameMirror(each, mirror))) mirrors.push(mirror)
    }
  }
  return { mirrors, hasOriginal }
}

function isSameMirror(one: NodeMirror, other: NodeMirror): boolean {
  return one.registry.host === other.registry.host && one.path === other.path
}

/** The candidate that the template renders for an example image of the scope. */
function exampleCandidate(
  { config }: Context,
  { scope, pattern, row }: RuleSubject,
  template: ImageTemplate,
): Candidate {
  const image = exampleImage(pattern)
  // The example of a hostless pattern can have a single segment, which Docker Hub would put under library/, and without a {rest}.
  const path = image.path.includes('/') || pattern.host !== null ? image.path : `a/${image.path}`
  const { table } = config
  const domain = 'host' in scope ? canonicalHost(scope.host, table.isPlainHttp) : image.domain
  const reference = { ...image, path, domain }
  return createCandidate(table, row, template, { reference, namespace: 'default' })
}

/** Returns the mirror location that the template means for every image of the scope, or why there is none. */
function mirrorOf(
  { registries, table }: Config,
  scope: ImageScope,
  template: ImageTemplate,
): NodeMirror | string {
  if (template.variables.has('namespace'))
    return 'has {namespace}, and a node does not know the pod of a pull'
  const location = locationOf(scope, template, table)
  if (location === null)
    return 'changes the names of repositories, and a node can only add a prefix; end it with /{path}'
  const slash = location.indexOf('/')
  const host = slash < 0 ? location : location.slice(0, slash)
  const path = slash < 0 ? '' : location.slice(slash + 1)
  return { registry: nodeRegistry(host, registries.get(host)), path }
}

function locationOf(
  scope: ImageScope,
  template: ImageTemplate,
  { isPlainHttp }: FallbackTable,
): string | null {
  const { text } = template
  if (scope.kind === 'repository') {
    const reference = { domain: scope.host, path: scope.path, tag: null, digest: null }
    const canonical = canonicalReference(reference, isPlainHttp)
    return renderTemplate(template, { reference: canonical, namespace: 'default' })
  }
  const [, prefix = '', last] = /^(.*)\/\{(path|rest)\}$/.exec(text) ?? []
  if (last === undefined || /\{(?!host\})/.test(prefix)) return null
  if (!('host' in scope)) return prefix.includes('{host}') || last === 'rest' ? null : prefix
  if (last === 'rest' && scope.kind === 'host') return null
  const segments = scope.kind === 'prefix' ? scope.path.split('/') : []
  return [
    withHost({ ...template, text: prefix }, canonicalHost(scope.host, isPlainHttp)),
    ...segments.slice(last === 'rest' ? 1 : 0),
  ].join('/')
}
