/** Checks a table for rows that loop, collide or are never used. Needs no images, so it runs when the config is loaded. */
import { repositoryName } from '../reference/reference.ts'
import { createCollisionFinder } from './collisions.ts'
import { exampleImage, keepsExample } from './example-image.ts'
import type { ImagePattern } from './image-pattern.ts'
import type { ImageTemplate } from './image-template.ts'
import type { PodCondition } from './pod-condition.ts'
import { unknownPod } from './pod-context.ts'
import { canonicalReference } from './registry-aliases.ts'
import { createRowIndex, type RowIndex } from './row-index.ts'
import { candidatesOf, createCandidate, type FallbackRow, type FallbackTable } from './table.ts'

export interface TableFinding {
  readonly severity: 'error' | 'warning'
  /** Index of the row. */
  readonly row: number
  /** The key of the row that the finding is about. */
  readonly key: 'images' | 'try' | 'otherwise' | 'when'
  /** Index of the pattern or template; 0 for the other keys. */
  readonly index: number
  readonly message: string
}

/**
 * Returns all findings, in the order of the rows. `hosts` are the registries that the config lists. Takes time linear in the
 * number of rows, because reloads wait for it.
 */
export function lintTable(table: FallbackTable, hosts: Iterable<string> = []): TableFinding[] {
  const findCovering = createCoverSearch(table)
  const findCollision = createCollisionFinder(table, hosts)
  const conditional = indexConditionalRows(table)
  const lastDenial = table.rows.findLastIndex(({ otherwise }) => otherwise === 'deny')
  return table.rows.flatMap((row, rowIndex) => [
    ...findUnreachable(table, findCovering, rowIndex),
    ...findLoops({ table, conditional }, row, rowIndex),
    ...findWideAlternates(table, row, rowIndex),
    ...findUselessOtherwise(row, rowIndex),
    ...findUnneededTemplates(row, rowIndex),
    ...findEscapes(row, rowIndex, lastDenial),
    ...row.try.flatMap((template, index): TableFinding[] => {
      const message = findCollision(rowIndex, template)
      return message === null
        ? []
        : [{ severity: 'warning', row: rowIndex, key: 'try', index, message }]
    }),
  ])
}

/** Returns the index of the first row that matches every image of a pattern and every pod of its row, or -1. */
type FindCovering = (row: FallbackRow, pattern: ImagePattern) => number

function createCoverSearch({ rows, mirrors, index }: FallbackTable): FindCovering {
  /** The first row with a pattern, by the text of the pattern, and by the kind of the row. */
  const firstRows = new Map<string, Map<string, number>>()
  for (const [row, { images, when, leave }] of rows.entries()) {
    const kind = kindOfRow(leave, when)
    for (const { text } of images) {
      const byKind = firstRows.get(text)
      if (byKind === undefined) firstRows.set(text, new Map([[kind, row]]))
      else if (!byKind.has(kind)) byKind.set(kind, row)
    }
  }

  return ({ when, leave }, pattern) => {
    const isOnMirror = pattern.host !== null && mirrors.has(pattern.host)
    if (pattern.literal !== null)
      return index.findForAll(canonicalReference(exampleImage(pattern)), isOnMirror, when)
    const conditions = when === null ? [null] : [null, when]
    const kindsOf = (isLeft: boolean) => conditions.map((each) => kindOfRow(isLeft, each))
    // Of the rows without a host, only those that leave images unchanged match images on a mirror.
    const isAlsoOnMirrors = pattern.host === null && leave
    const ofAll =
      isOnMirror || isAlsoOnMirrors ? kindsOf(true) : [...kindsOf(true), ...kindsOf(false)]
    const ofHost = isAlsoOnMirrors ? kindsOf(true) : [...kindsOf(true), ...kindsOf(false)]
    let first = Infinity
    const search = (text: string, kinds: readonly string[]) => {
      const byKind = firstRows.get(text)
      if (byKind === undefined) return
      for (const kind of kinds) first = Math.min(first, byKind.get(kind) ?? Infinity)
    }
    search('**', ofAll)
    search(`${pattern.host}/**`, ofHost)
    search(pattern.text, ofHost)
    return first === Infinity ? -1 : first
  }
}

function kindOfRow(leave: boolean, when: PodCondition | null): string {
  return `${leave} ${when?.text ?? ''}`
}

/** Finds patterns that an earlier row covers completely. */
function findUnreachable(
  { rows }: FallbackTable,
  findCovering: FindCovering,
  rowIndex: number,
): TableFinding[] {
  const row = rows[rowIndex]
  if (row === undefined) return []
  return row.images.flatMap((pattern, index): TableFinding[] => {
    const covering = findCovering(row, pattern)
    const earlier = covering < rowIndex ? rows[covering] : undefined
    if (earlier === undefined) return []
    const message = `the pattern is never used: row ${earlier.name} comes first and matches the same images; move this row up`
    return [{ severity: 'warning', row: rowIndex, key: 'images', index, message }]
  })
}

interface LoopSearch {
  readonly table: FallbackTable
  readonly conditional: RowIndex
}

/** The rows with a condition and with templates. */
function indexConditionalRows({ rows }: FallbackTable): RowIndex {
  return createRowIndex(
    rows
      .map(({ images, leave, when }, position) => ({ position, images, leave, when }))
      .filter(({ leave, when }) => !leave && when !== null),
  )
}

/**
 * Finds templates whose images, once on the mirror, another row would rewrite: each review would move them again. Tries one
 * example image for each pattern, and so does not find every loop.
 */
function findLoops(search: LoopSearch, row: FallbackRow, rowIndex: number): TableFinding[] {
  return row.try.flatMap((template, index): TableFinding[] => {
    if (template.host !== null && !search.table.mirrors.has(template.host)) return []
    const second = row.images
      .map((pattern) => secondRewrite(search, { row, template, pattern }))
      .find((rewrite) => rewrite !== null)
    if (second === undefined || second === null) return []
    const pods = second.isForSomePods ? ' in the pods of both rows' : ''
    const message = `the template makes images that row ${second.row} rewrites again${pods} (${second.from} becomes ${second.to}); an image on a mirror must stay there: put {host}/{path} first in the \`try\` of that row`
    const severity = second.isForSomePods ? 'warning' : 'error'
    return [{ severity, row: rowIndex, key: 'try', index, message }]
  })
}

interface SecondRewrite {
  readonly row: string
  readonly from: string
  readonly to: string
  /** True if the second row has another condition, which may not hold for the same pod. */
  readonly isForSomePods: boolean
}

function secondRewrite(
  { table, conditional }: LoopSearch,
  {
    row,
    template,
    pattern,
  }: {
    readonly row: FallbackRow
    readonly template: ImageTemplate
    readonly pattern: ImagePattern
  },
): SecondRewrite | null {
  const { reference, kind } = createCandidate(table, row, template, exampleInput(pattern))
  if (reference === null || kind === 'original' || !table.mirrors.has(reference.domain)) return null
  const canonical = canonicalReference(reference, table.isPlainHttp)
  const certain = table.index.findForAll(canonical, true, row.when)
  const possible = conditional.find(canonical, true, certain < 0 ? Infinity : certain)
  return rewriteBy(certain, false) ?? rewriteBy(possible, true)

  function rewriteBy(position: number, isForSomePods: boolean): SecondRewrite | null {
    const next = table.rows[position]
    if (next === undefined || reference === null) return null
    const [first] = candidatesOf(table, next, reference, unknownPod)
    if (first === undefined || first.kind === 'original') return null
    return { row: next.name, from: repositoryName(reference), to: first.image, isForSomePods }
  }
}

/** Finds alternates for a whole host: on another public registry, anyone can register a name that the row does not mean. */
function findWideAlternates(
  table: FallbackTable,
  row: FallbackRow,
  rowIndex: number,
): TableFinding[] {
  if (row.alternates === 'digest') return []
  const widePatterns = row.images.filter(
    ({ path, literal }) => literal === null && path.startsWith('**'),
  )
  return row.try.flatMap((template, index): TableFinding[] => {
    if (template.host === null || table.mirrors.has(template.host)) return []
    const pattern = widePatterns.find(
      (each) => createCandidate(table, row, template, exampleInput(each)).kind === 'alternate',
    )
    if (pattern === undefined) return []
    const message = `the template takes another publisher's copy for every image of ${pattern.text}; list the repositories that you publish there, or set alternates: digest`
    return [{ severity: 'warning', row: rowIndex, key: 'try', index, message }]
  })
}

/** Finds `otherwise` in rows that end with the original, which is always taken. */
function findUselessOtherwise(row: FallbackRow, rowIndex: number): TableFinding[] {
  const last = row.try.at(-1)
  // With `tags`, the last candidate is another image than the original.
  if (row.otherwise === 'keep' || last === undefined || row.tags.size > 0) return []
  if (!row.images.every((pattern) => keepsExample(last, pattern))) return []
  const message =
    '`otherwise` has no effect: the last candidate is the original, which is always taken; remove it from `try`'
  return [{ severity: 'warning', row: rowIndex, key: 'otherwise', index: 0, message }]
}

/** Finds rows whose only candidate is the original. They still add digests, pull policies and pull secrets. */
function findUnneededTemplates(
  { images, try: templates, tags, otherwise, pin }: FallbackRow,
  rowIndex: number,
): TableFinding[] {
  const [only] = templates
  const hasPurpose = templates.length > 1 || tags.size > 0 || otherwise !== 'keep' || pin !== null
  if (only === undefined || hasPurpose) return []
  if (!images.every((pattern) => keepsExample(only, pattern))) return []
  const message =
    'the row keeps the names of its images, but Berth still adds digests, pull policies and pull secrets; to leave the images unchanged, write `leave: true` in place of `try`; to pin them, give the row a `pin`'
  return [{ severity: 'warning', row: rowIndex, key: 'try', index: 0, message }]
}

/** Finds rows that anyone who creates a pod can choose, before a row that denies: labels and owners are in the pod. */
function findEscapes(
  { when, otherwise }: FallbackRow,
  rowIndex: number,
  lastDenial: number,
): TableFinding[] {
  if (when === null || when.namespaces !== null || otherwise === 'deny' || rowIndex >= lastDenial)
    return []
  const message =
    'anyone who creates a pod chooses its labels and owners, and so can avoid the later rows with otherwise: deny; add `namespaces`'
  return [{ severity: 'warning', row: rowIndex, key: 'when', index: 0, message }]
}

function exampleInput(pattern: ImagePattern): Parameters<typeof createCandidate>[3] {
  return { reference: canonicalReference(exampleImage(pattern)), namespace: 'default' }
}
