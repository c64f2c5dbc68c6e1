/**
 * What can be told about a table before any image is seen: rows that loop, collide, or are never reached.
 * Finding it here is what keeps it from being found in a running pod.
 */
import { type Reference, repositoryName } from '../reference/reference.ts'
import type { Pattern } from './glob.ts'
import { makeCandidate, type Row, select, type Table } from './table.ts'
import { renderTemplate, type Template } from './template.ts'

export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly row: number
  /** Which part of the row: a pattern or a template, by index. */
  readonly part: 'images' | 'try' | 'otherwise'
  readonly index: number
  readonly message: string
}

interface Context {
  readonly table: Table
  /** The first row that has a pattern with this text. */
  readonly firstRows: ReadonlyMap<string, number>
  /** Hosts of patterns whose images a template brings to one mirror, by the template's text. */
  readonly hostsByTemplate: ReadonlyMap<string, ReadonlySet<string>>
}

/** Every finding, in the order of the rows. Takes time in proportion to the rows, because it runs at every reload. */
export function lintTable(table: Table): Finding[] {
  const context: Context = { table, firstRows: firstRowsOf(table), hostsByTemplate: hostsOf(table) }
  const landings = new Map<string, number>()
  return table.rows.flatMap((row, index) => [
    ...unreachable(context, row, index),
    ...loops(table, row, index),
    ...wholeHostAlternates(table, row, index),
    ...uselessOtherwise(row, index),
    ...collisions(context, landings, row, index),
  ])
}

function firstRowsOf({ rows }: Table): Map<string, number> {
  const texts = rows.flatMap(({ images }, index) =>
    images.map(({ text }) => [text, index] as const),
  )
  // Of equal keys the last one stays.
  return new Map(texts.toReversed())
}

function hostsOf({ rows }: Table): Map<string, Set<string>> {
  const hosts = new Map<string, Set<string>>()
  for (const { images, try: templates } of rows) {
    for (const { text } of templates) {
      const known = hosts.get(text) ?? new Set<string>()
      for (const { host } of images) if (host !== null) known.add(host)
      hosts.set(text, known)
    }
  }
  return hosts
}

/** A pattern behind one that takes everything it could match is dead. */
function unreachable({ table, firstRows }: Context, row: Row, rowIndex: number): Finding[] {
  return row.images.flatMap((pattern, index) => {
    const earlier = table.rows[coveringRow(table, firstRows, pattern)]
    if (earlier === undefined || table.rows.indexOf(earlier) >= rowIndex) return []
    const message = `is never reached: row ${earlier.name} takes every image it matches; move this row up`
    return [
      { severity: 'warning' as const, row: rowIndex, part: 'images' as const, index, message },
    ]
  })
}

/** The first row that takes all that the pattern matches: for one repository by looking it up, for a glob by a wider glob. */
function coveringRow(
  table: Table,
  firstRows: ReadonlyMap<string, number>,
  pattern: Pattern,
): number {
  // A mirror is matched by rows that name it and by no others.
  const onMirror = pattern.host !== null && table.mirrors.has(pattern.host)
  if (pattern.literal !== null) return table.index.find(sample(pattern), onMirror)
  const wide = onMirror ? [] : ['**']
  const wider = [...wide, `${pattern.host}/**`, pattern.text].map(
    (text) => firstRows.get(text) ?? Infinity,
  )
  const first = Math.min(...wider)
  return first === Infinity ? -1 : first
}

/** A candidate on a mirror is final: if its own row would send it on, images would move at every look. */
function loops(table: Table, row: Row, rowIndex: number): Finding[] {
  return row.try.flatMap((template, index) => {
    const moved = row.images
      .map((pattern) => movesOn(table, row, template, pattern))
      .find((to) => to !== null)
    if (moved === undefined || moved === null) return []
    const message = `makes names that row ${moved.row} rewrites again (${moved.from} becomes ${moved.to}); an image on a mirror stays where it is: let that row try {host}/{path} first`
    return [{ severity: 'error' as const, row: rowIndex, part: 'try' as const, index, message }]
  })
}

function movesOn(
  table: Table,
  row: Row,
  template: Template,
  pattern: Pattern,
): { row: string; from: string; to: string } | null {
  const made = makeCandidate(table, row, template, {
    reference: sample(pattern),
    namespace: 'default',
  })
  if (made.reference === null || made.kind === 'original') return null
  if (!table.mirrors.has(made.reference.domain)) return null
  const next = select(table, made.reference, 'default')
  const first = next.candidates[0]
  if (next.row === null || first === undefined || first.kind === 'original') return null
  return { row: next.row.name, from: repositoryName(made.reference), to: first.image }
}

/** Anybody may own a name on another public registry: a whole host of them is a bet. */
function wholeHostAlternates(table: Table, row: Row, rowIndex: number): Finding[] {
  if (row.alternates === 'digest') return []
  const wide = row.images.filter(({ path, literal }) => literal === null && path.startsWith('**'))
  return row.try.flatMap((template, index) => {
    const pattern = wide.find((each) => {
      const input = { reference: sample(each), namespace: 'default' }
      return (
        template.host !== null && makeCandidate(table, row, template, input).kind === 'alternate'
      )
    })
    if (pattern === undefined) return []
    const message = `takes another publisher's copy for every image of ${pattern.text}; name the repositories that you publish there, or say alternates: digest`
    return [{ severity: 'warning' as const, row: rowIndex, part: 'try' as const, index, message }]
  })
}

/** The original needs no proof when it comes last, so nothing comes after it. */
function uselessOtherwise(row: Row, rowIndex: number): Finding[] {
  const last = row.try.at(-1)
  // A mapped tag makes another image of it, which needs proof.
  if (row.otherwise === 'keep' || last === undefined || row.tags.size > 0) return []
  const isOriginal = row.images.every(
    (pattern) => render(last, pattern) === repositoryName(sample(pattern)),
  )
  if (!isOriginal) return []
  const message =
    'never happens: the last candidate is the original, which needs no proof; leave it out of `try`'
  return [{ severity: 'warning', row: rowIndex, part: 'otherwise', index: 0, message }]
}

/** Two upstreams that a flat layout can bring to one path on a mirror, so that one would be served for the other. */
function collisions(
  context: Context,
  landings: Map<string, number>,
  row: Row,
  rowIndex: number,
): Finding[] {
  return row.try.flatMap((template, index) => {
    if (template.host === null || !context.table.mirrors.has(template.host)) return []
    const finding = (message: string): Finding[] => [
      { severity: 'warning', row: rowIndex, part: 'try', index, message },
    ]
    if (row.images.some((pattern) => mergesNames(template, pattern))) {
      return finding(
        'brings images of different repositories to one path; use {host}/{path} to keep them apart',
      )
    }
    if (
      row.images.some((one, place) =>
        row.images.slice(place + 1).some((two) => meetOnPath(template, one, two)),
      )
    ) {
      return finding(
        'brings images of different registries to one path; use {host}/{path} to keep them apart',
      )
    }
    const other = row.images
      .map((pattern) => sharedWith(context, landings, { template, pattern, rowIndex }))
      .find((found) => found !== null)
    if (other === undefined || other === null) return []
    return finding(
      `and row ${other} can bring images of different registries to one path on ${template.host}; ${template.host}/{host}/{path} keeps them apart`,
    )
  })
}

/** A template that leaves out what tells the pattern's images apart. */
function mergesNames(template: Template, pattern: Pattern): boolean {
  if (pattern.literal !== null) return false
  if (!template.variables.has('path')) return true
  return pattern.host === null && !template.variables.has('host')
}

/** Two patterns of one row, for different registries, whose images the template brings together. */
function meetOnPath(template: Template, one: Pattern, two: Pattern): boolean {
  if (one.host === two.host || one.host === template.host || two.host === template.host)
    return false
  if (template.variables.has('host')) return false
  if (one.literal !== null && two.literal !== null)
    return render(template, one) === render(template, two)
  if (one.literal !== null) return two.matches({ ...sample(one), domain: two.host ?? 'a.b' })
  return two.literal === null || one.matches({ ...sample(two), domain: one.host ?? 'a.b' })
}

interface Landing {
  readonly template: Template
  readonly pattern: Pattern
  readonly rowIndex: number
}

/** The name of an earlier row that can bring another registry's image to where this pattern's images land. */
function sharedWith(
  { table, hostsByTemplate }: Context,
  landings: Map<string, number>,
  { template, pattern, rowIndex }: Landing,
): string | null {
  if (pattern.host === template.host || template.variables.has('host')) return null
  // Two single repositories that end up under one name, whatever their templates are.
  const name =
    pattern.literal === null ? `${template.text} ${pattern.path}` : render(template, pattern)
  const landed = landings.get(name)
  if (landed === undefined) landings.set(name, rowIndex)
  else if (landed !== rowIndex)
    return hostsDiffer(table.rows[landed], pattern) ? (table.rows[landed]?.name ?? null) : null
  // One repository that lands where another row's images keep their own path.
  if (pattern.literal !== null) {
    const path = name.slice(name.indexOf('/') + 1)
    const flat = `${template.host}/{path}`
    for (const host of hostsByTemplate.get(flat) ?? []) {
      if (host === pattern.host || host === template.host) continue
      const other =
        table.rows[table.index.find({ domain: host, path, tag: null, digest: null }, true)]
      if (other?.try.some(({ text }) => text === flat) === true) return other.name
    }
  }
  // The same template for another registry, whose pattern takes the same path.
  for (const host of hostsByTemplate.get(template.text) ?? []) {
    if (host === pattern.host || host === template.host) continue
    const row = table.index.find({ ...sample(pattern), domain: host }, true)
    const other = table.rows[row]
    if (
      row < rowIndex &&
      other !== undefined &&
      other.try.some(({ text }) => text === template.text)
    )
      return other.name
  }
  return null
}

function hostsDiffer(row: Row | undefined, { host }: Pattern): boolean {
  return row !== undefined && row.images.some((image) => image.host !== host)
}

function render(template: Template, pattern: Pattern): string {
  return renderTemplate(template, { reference: sample(pattern), namespace: 'default' })
}

/** One image that the pattern matches: wildcards become the shortest text that fits. */
function sample({ literal, host, path }: Pattern): Reference {
  const text = literal === null ? fill(path) : literal
  const slash = text.indexOf('/')
  const parts =
    literal === null && host !== null
      ? { domain: host, path: text }
      : { domain: withDot(text.slice(0, Math.max(slash, 0))), path: text.slice(slash + 1) }
  return { ...parts, tag: null, digest: null }
}

function fill(glob: string): string {
  return glob
    .replaceAll('**', 'a/b')
    .replaceAll(/\*|\?/g, 'a')
    .replaceAll(/\[\^?(.)[^\]]*\]/g, '$1')
}

function withDot(host: string): string {
  return host === '' || !/[.:]/.test(host) ? 'a.b' : host
}
