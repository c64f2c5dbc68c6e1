/**
 * What can be told about a table before any image is seen: rows that loop, collide, or are never reached.
 * Finding it here is what keeps it from being found in a running pod.
 */
import { type Reference, repositoryName } from '../reference/reference.ts'
import type { Pattern } from './glob.ts'
import { type Row, select, type Table } from './table.ts'
import { renderTemplate, type Template } from './template.ts'

export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly row: number
  /** Which part of the row: a pattern or a template, by index. */
  readonly part: 'images' | 'try' | 'otherwise'
  readonly index: number
  readonly message: string
}

/** Every finding, in the order of the rows. */
export function lintTable(table: Table): Finding[] {
  return table.rows.flatMap((row, index) => [
    ...unreachable(table, row, index),
    ...loops(table, row, index),
    ...wholeHostAlternates(table, row, index),
    ...uselessOtherwise(row, index),
    ...collisions(table, row, index),
  ])
}

/** A pattern behind one that takes everything it could match is dead. */
function unreachable(table: Table, row: Row, rowIndex: number): Finding[] {
  return row.images.flatMap((pattern, index) => {
    const earlier = table.rows
      .slice(0, rowIndex)
      .find(({ images }) => images.some((other) => covers(other, pattern)))
    if (earlier === undefined) return []
    const message = `is never reached: row ${earlier.name} takes every image it matches; move this row up`
    return [
      { severity: 'warning' as const, row: rowIndex, part: 'images' as const, index, message },
    ]
  })
}

function covers(wide: Pattern, narrow: Pattern): boolean {
  if (wide.text === narrow.text || wide.text === '**') return true
  if (narrow.literal !== null) return wide.matches(sample(narrow))
  return wide.host !== null && wide.host === narrow.host && wide.path === '**'
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
  const made = select(
    { rows: [{ ...row, try: [template] }], mirrors: table.mirrors },
    sample(pattern),
    'default',
  ).candidates[0]
  if (made === undefined || made.reference === null || made.kind === 'original') return null
  if (!table.mirrors.has(made.reference.domain)) return null
  const next = select(table, made.reference, 'default')
  const first = next.candidates[0]
  if (next.row === null || first === undefined || first.kind === 'original') return null
  return { row: next.row.name, from: repositoryName(made.reference), to: first.image }
}

/** Anybody may own a name on another public registry: a whole host of them is a bet. */
function wholeHostAlternates(table: Table, row: Row, rowIndex: number): Finding[] {
  const pattern = row.images.find(({ path, literal }) => literal === null && path.startsWith('**'))
  if (pattern === undefined) return []
  return row.try.flatMap((template, index) => {
    if (
      template.host === null ||
      table.mirrors.has(template.host) ||
      template.host === pattern.host
    )
      return []
    const message = `takes another publisher's copy for every image of ${pattern.text}; name the repositories that you publish there, or say alternates: digest`
    return row.alternates === 'digest'
      ? []
      : [{ severity: 'warning' as const, row: rowIndex, part: 'try' as const, index, message }]
  })
}

/** The original needs no proof when it comes last, so nothing comes after it. */
function uselessOtherwise(row: Row, rowIndex: number): Finding[] {
  const last = row.try.at(-1)
  if (row.otherwise === 'keep' || last === undefined) return []
  const isOriginal = row.images.every(
    (pattern) => render(last, pattern) === repositoryName(sample(pattern)),
  )
  if (!isOriginal) return []
  const message =
    'never happens: the last candidate is the original, which needs no proof; leave it out of `try`'
  return [{ severity: 'warning', row: rowIndex, part: 'otherwise', index: 0, message }]
}

/** Two upstreams that a flat layout can bring to one path on a mirror, so that one would be served for the other. */
function collisions(table: Table, row: Row, rowIndex: number): Finding[] {
  return row.try.flatMap((template, index) => {
    if (template.host === null || !table.mirrors.has(template.host)) return []
    const within = row.images.some((pattern) => mergesNames(template, pattern))
    const other = table.rows
      .slice(0, rowIndex)
      .find((earlier) => sharesPaths(row, earlier, template))
    const finding = (message: string) => [
      { severity: 'warning' as const, row: rowIndex, part: 'try' as const, index, message },
    ]
    if (within)
      return finding(
        'brings images of different repositories to one path; use {host}/{path} to keep them apart',
      )
    if (other === undefined) return []
    return finding(
      `and row ${other.name} can bring images of different registries to one path on ${template.host}; ${template.host}/{host}/{path} keeps them apart`,
    )
  })
}

/** A template that leaves out what tells the pattern's images apart. */
function mergesNames(template: Template, pattern: Pattern): boolean {
  if (pattern.literal !== null) return false
  if (!template.variables.has('path')) return true
  return (
    pattern.host === null && !template.variables.has('host') && !template.text.startsWith('{host}')
  )
}

function sharesPaths(row: Row, earlier: Row, template: Template): boolean {
  return earlier.try.some(
    (other) =>
      other.host === template.host &&
      row.images.some((one) =>
        earlier.images.some((two) => landTogether([template, one], [other, two])),
      ),
  )
}

function landTogether(
  [template, one]: [Template, Pattern],
  [other, two]: [Template, Pattern],
): boolean {
  if (one.host === template.host || two.host === template.host) return false
  if (one.host === two.host && one.host !== null) return false
  if (one.literal !== null && two.literal !== null)
    return render(template, one) === render(other, two)
  return template.text === other.text && !template.variables.has('host') && pathsMeet(one, two)
}

function pathsMeet(one: Pattern, two: Pattern): boolean {
  const onto = (pattern: Pattern, host: string | null) => ({
    ...sample(pattern),
    domain: host ?? 'a.b',
  })
  if (one.literal !== null) return two.matches(onto(one, two.host))
  if (two.literal !== null) return one.matches(onto(two, one.host))
  return true
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
