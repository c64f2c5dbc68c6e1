/** Finds the rows that write to a repository of a mirror, by an image whose copy goes there. Pure. */
import { compileGlob } from '../../decision/fallback/glob.ts'
import { hostComponent } from '../../decision/fallback/host-component.ts'
import { splitByHost } from '../../decision/fallback/host-images.ts'
import type { ImagePattern } from '../../decision/fallback/image-pattern.ts'
import type { ImageTemplate } from '../../decision/fallback/image-template.ts'
import { unknownPod } from '../../decision/fallback/pod-context.ts'
import { canonicalHost } from '../../decision/fallback/registry-aliases.ts'
import type { FallbackRow, FallbackTable } from '../../decision/fallback/table.ts'
import { defaultDomain, type Reference } from '../../decision/reference/reference.ts'
import { escapeRegExp } from '../../text/escape-regexp.ts'
import { planCopies } from '../copy-plan.ts'

/** A row that writes to a repository. */
export interface RepositoryWriter {
  readonly row: FallbackRow
  /** The upstream repository whose copy goes there, without a tag. */
  readonly source: Reference
  /** Whether the repository has the host of the source in its path, so that nothing else is pushed there by chance. */
  readonly hasHost: boolean
}

/** Returns the rows that write to a repository of a mirror; empty if there is none. */
export type FindWriters = (host: string, path: string) => readonly RepositoryWriter[]

/** The values of the variables in the path of a template. */
type Values = Readonly<Record<string, string>>

interface CompiledTemplate {
  readonly row: FallbackRow
  readonly template: ImageTemplate
  /** The mirror, in its canonical spelling. */
  readonly host: string
  readonly regexp: RegExp
}

/** What a variable can be in a repository. */
const variablePatterns: Readonly<Record<string, string>> = {
  host: '[^/]+',
  path: '.+',
  rest: '.+',
  flat: '[^/]+',
  name: '[^/]+',
  namespace: '[^/]+',
}

/** Enough for every place where `{flat}` can have replaced a slash in usual names. */
const maxSplits = 16

/**
 * Creates the function for a table. It may miss a row whose images it cannot guess from the name, and then the repository is
 * left alone. It never returns a row that does not write there: the plan of a copy proves each one.
 */
export function createFindWriters(table: FallbackTable): FindWriters {
  const templates = table.rows.flatMap((row) => row.try.flatMap((each) => compile(row, each)))
  return (host, path) => {
    const mirror = canonicalHost(host, table.isPlainHttp)
    const writers = new Map<string, RepositoryWriter>()
    for (const { row, template, host: templateHost, regexp } of templates) {
      const match = templateHost === mirror ? regexp.exec(path) : null
      if (match === null) continue
      const values = match.groups ?? {}
      for (const source of guessSources(row, values)) {
        const isWritten = goesTo(table, { row, source, values }, mirror, path)
        const key = `${row.name} ${source.domain}/${source.path}`
        if (isWritten) writers.set(key, { row, source, hasHost: template.text.includes('/{host}') })
      }
    }
    return [...writers.values()]
  }

  function compile(row: FallbackRow, template: ImageTemplate): CompiledTemplate[] {
    if (template.host === null || !table.mirrors.has(template.host)) return []
    const seen = new Set<string>()
    const pattern = template.text
      .slice(template.text.indexOf('/') + 1)
      .split(/(\{[a-z]+\})/)
      .map((part) => {
        const name = part.slice(1, -1)
        if (!part.startsWith('{')) return escapeRegExp(part)
        if (seen.has(name)) return `\\k<${name}>`
        seen.add(name)
        return `(?<${name}>${variablePatterns[name]})`
      })
      .join('')
    const host = canonicalHost(template.host, table.isPlainHttp)
    return [{ row, template, host, regexp: new RegExp(`^${pattern}$`) }]
  }
}

/** Returns whether `berth mirror` copies the source to this repository because of this row. */
function goesTo(
  table: FallbackTable,
  {
    row,
    source,
    values,
  }: { readonly row: FallbackRow; readonly source: Reference; readonly values: Values },
  mirror: string,
  path: string,
): boolean {
  const pod = { ...unknownPod, namespace: values['namespace'] ?? null }
  return planCopies(table, [{ reference: source, pod }]).pairs.some(
    ({ row: name, destination }) =>
      name === row.name &&
      destination.path === path &&
      canonicalHost(destination.domain, table.isPlainHttp) === mirror,
  )
}

/** Returns images of a row that may have these values. */
function guessSources(row: FallbackRow, values: Values): readonly Reference[] {
  return row.images.flatMap((pattern) =>
    splitByHost(pattern, guessHosts(pattern, values)).flatMap(({ host, path: glob }) => {
      if (values['host'] !== undefined && hostComponent(host) !== values['host']) return []
      return guessPaths(host, glob, values)
        .filter((path) => (host === defaultDomain ? path.includes('/') : path !== ''))
        .map((path) => ({ domain: host, path, tag: null, digest: null }))
        .filter((reference) => pattern.matches(reference))
    }),
  )
}

/** Returns hosts that may have the component of a path. */
function guessHosts({ host }: ImagePattern, { host: component }: Values): readonly string[] {
  if (host !== null || component === undefined) return []
  return [component, component.replace(/-(?=[0-9]+$)/, ':')]
}

function guessPaths(host: string, glob: string, values: Values): readonly string[] {
  const { path, rest, flat, name } = values
  if (path !== undefined) return [path]
  const segments = glob.split('/')
  const [first = ''] = segments
  if (rest !== undefined) return [`${fill(first)}/${rest}`]
  if (flat !== undefined) return guessUnflattened(flat, segments)
  if (name === undefined) return [segments.map(fill).join('/')]
  const parents = segments.slice(0, -1).map(fill)
  const isOnHub = host === defaultDomain && parents.length === 0
  return [[...(isOnHub ? ['library'] : parents), name].join('/')].concat(
    segments.at(-1) === '**' ? [`library/${name}`] : [],
  )
}

/** Returns paths that `{flat}` writes like this: with the beginning of the glob, or with a slash in place of one `-`. */
function guessUnflattened(flat: string, segments: readonly string[]): readonly string[] {
  const wild = segments.findIndex((segment) => fill(segment) !== segment)
  const literal = segments.slice(0, wild === -1 ? segments.length : wild)
  const prefix = literal.join('-')
  const under = flat.startsWith(`${prefix}-`)
    ? [`${literal.join('/')}/${flat.slice(prefix.length + 1)}`]
    : []
  const dashes = [...flat.matchAll(/-/g)].slice(0, maxSplits)
  const split = dashes.map(({ index }) => `${flat.slice(0, index)}/${flat.slice(index + 1)}`)
  return [flat, ...(flat === prefix ? [literal.join('/')] : []), ...under, ...split]
}

/** Returns a segment that a glob for one segment matches. */
function fill(segment: string): string {
  const filled = segment.replaceAll(/\*+|\?|\[[^\]]*\]/g, 'a')
  return filled === segment || segment === '**' || compileGlob(segment)(filled) ? filled : ''
}
