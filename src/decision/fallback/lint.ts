/** Checks a table for rows that loop, collide or are never used. Needs no images, so it runs when the config is loaded. */
import { repositoryName } from '../reference/reference.ts'
import { createCollisionFinder } from './collisions.ts'
import { exampleImage, renderExample } from './example-image.ts'
import type { ImagePattern } from './image-pattern.ts'
import type { ImageTemplate } from './image-template.ts'
import { createCandidate, type FallbackRow, type FallbackTable, selectCandidates } from './table.ts'

export interface TableFinding {
  readonly severity: 'error' | 'warning'
  /** Index of the row. */
  readonly row: number
  /** The key of the row that the finding is about. */
  readonly key: 'images' | 'try' | 'otherwise'
  /** Index of the pattern or template; 0 for `otherwise`. */
  readonly index: number
  readonly message: string
}

/** Returns all findings, in the order of the rows. Takes time linear in the number of rows, because reloads wait for it. */
export function lintTable(table: FallbackTable): TableFinding[] {
  const firstRows = firstRowByPattern(table)
  const findCollision = createCollisionFinder(table)
  return table.rows.flatMap((row, rowIndex) => [
    ...findUnreachable(table, firstRows, rowIndex),
    ...findLoops(table, row, rowIndex),
    ...findWideAlternates(table, row, rowIndex),
    ...findUselessOtherwise(row, rowIndex),
    ...row.try.flatMap((template, index): TableFinding[] => {
      const message = findCollision(row, rowIndex, template)
      return message === null
        ? []
        : [{ severity: 'warning', row: rowIndex, key: 'try', index, message }]
    }),
  ])
}

/** Returns the index of the first row that has a pattern, by the text of the pattern. */
function firstRowByPattern({ rows }: FallbackTable): ReadonlyMap<string, number> {
  const entries = rows.flatMap(({ images }, row) => images.map(({ text }) => [text, row] as const))
  // A Map keeps the last value of a key.
  return new Map(entries.toReversed())
}

/** Finds patterns that an earlier row covers completely. */
function findUnreachable(
  table: FallbackTable,
  firstRows: ReadonlyMap<string, number>,
  rowIndex: number,
): TableFinding[] {
  const { images = [] } = table.rows[rowIndex] ?? {}
  return images.flatMap((pattern, index): TableFinding[] => {
    const covering = coveringRow(table, firstRows, pattern)
    const earlier = covering < rowIndex ? table.rows[covering] : undefined
    if (earlier === undefined) return []
    const message = `the pattern is never used: row ${earlier.name} comes first and matches the same images; move this row up`
    return [{ severity: 'warning', row: rowIndex, key: 'images', index, message }]
  })
}

/** Returns the index of the first row that matches every image of the pattern, or -1. */
function coveringRow(
  table: FallbackTable,
  firstRows: ReadonlyMap<string, number>,
  pattern: ImagePattern,
): number {
  // Only rows that name a mirror match its images (selectCandidates).
  const isOnMirror = pattern.host !== null && table.mirrors.has(pattern.host)
  if (pattern.literal !== null) return table.index.find(exampleImage(pattern), isOnMirror)
  const covering = [...(isOnMirror ? [] : ['**']), `${pattern.host}/**`, pattern.text]
  const first = Math.min(...covering.map((text) => firstRows.get(text) ?? Infinity))
  return first === Infinity ? -1 : first
}

/** Finds templates whose images, once on the mirror, another row would rewrite: each review would move them again. */
function findLoops(table: FallbackTable, row: FallbackRow, rowIndex: number): TableFinding[] {
  return row.try.flatMap((template, index): TableFinding[] => {
    const second = row.images
      .map((pattern) => secondRewrite(table, row, template, pattern))
      .find((rewrite) => rewrite !== null)
    if (second === undefined || second === null) return []
    const message = `the template makes images that row ${second.row} rewrites again (${second.from} becomes ${second.to}); an image on a mirror must stay there: put {host}/{path} first in the \`try\` of that row`
    return [{ severity: 'error', row: rowIndex, key: 'try', index, message }]
  })
}

function secondRewrite(
  table: FallbackTable,
  row: FallbackRow,
  template: ImageTemplate,
  pattern: ImagePattern,
): { readonly row: string; readonly from: string; readonly to: string } | null {
  const candidate = createCandidate(table, row, template, exampleInput(pattern))
  if (candidate.reference === null || candidate.kind === 'original') return null
  if (!table.mirrors.has(candidate.reference.domain)) return null
  const next = selectCandidates(table, candidate.reference, 'default')
  const first = next.candidates[0]
  if (next.row === null || first === undefined || first.kind === 'original') return null
  return { row: next.row.name, from: repositoryName(candidate.reference), to: first.image }
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
    const pattern = widePatterns.find(
      (each) =>
        template.host !== null &&
        createCandidate(table, row, template, exampleInput(each)).kind === 'alternate',
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
  const endsWithOriginal = row.images.every(
    (pattern) => renderExample(last, pattern) === repositoryName(exampleImage(pattern)),
  )
  if (!endsWithOriginal) return []
  const message =
    '`otherwise` has no effect: the last candidate is the original, which is always taken; remove it from `try`'
  return [{ severity: 'warning', row: rowIndex, key: 'otherwise', index: 0, message }]
}

function exampleInput(pattern: ImagePattern): Parameters<typeof createCandidate>[3] {
  return { reference: exampleImage(pattern), namespace: 'default' }
}
