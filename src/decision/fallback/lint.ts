/**
 * What can be told about a table before any image is seen: rows that loop, collide, or are never reached.
 * Finding it here is what keeps it from being found in a running pod.
 */
import { repositoryName } from '../reference/reference.ts'
import type { ImagePattern } from './image-pattern.ts'
import { createCandidate, type FallbackRow, selectCandidates, type FallbackTable } from './table.ts'
import { createCollisionFinder } from './collisions.ts'
import { renderExample, exampleImage } from './example-image.ts'
import type { ImageTemplate } from './image-template.ts'

export interface TableFinding {
  readonly severity: 'error' | 'warning'
  readonly row: number
  /** Which part of the row: a pattern or a template, by index. */
  readonly part: 'images' | 'try' | 'otherwise'
  readonly index: number
  readonly message: string
}

interface Context {
  readonly table: FallbackTable
  /** The first row that has a pattern with this text. */
  readonly firstRows: ReadonlyMap<string, number>
}

/** Every finding, in the order of the rows. Takes time in proportion to the rows, because it runs at every reload. */
export function lintTable(table: FallbackTable): TableFinding[] {
  const context: Context = { table, firstRows: firstRowsOf(table) }
  const findCollision = createCollisionFinder(table)
  return table.rows.flatMap((row, index) => [
    ...unreachable(context, row, index),
    ...loops(table, row, index),
    ...wholeHostAlternates(table, row, index),
    ...uselessOtherwise(row, index),
    ...row.try.flatMap((template, place): TableFinding[] => {
      const message = findCollision(row, index, template)
      return message === null
        ? []
        : [{ severity: 'warning', row: index, part: 'try', index: place, message }]
    }),
  ])
}

function firstRowsOf({ rows }: FallbackTable): Map<string, number> {
  const texts = rows.flatMap(({ images }, index) =>
    images.map(({ text }) => [text, index] as const),
  )
  // Of equal keys the last one stays.
  return new Map(texts.toReversed())
}

/** A pattern behind one that takes everything it could match is dead. */
function unreachable(
  { table, firstRows }: Context,
  row: FallbackRow,
  rowIndex: number,
): TableFinding[] {
  return row.images.flatMap((pattern, index) => {
    const covering = coveringRow(table, firstRows, pattern)
    const earlier = covering < rowIndex ? table.rows[covering] : undefined
    if (earlier === undefined) return []
    const message = `is never reached: row ${earlier.name} takes every image it matches; move this row up`
    return [
      { severity: 'warning' as const, row: rowIndex, part: 'images' as const, index, message },
    ]
  })
}

/** The first row that takes all that the pattern matches: for one repository by looking it up, for a glob by a wider glob. */
function coveringRow(
  table: FallbackTable,
  firstRows: ReadonlyMap<string, number>,
  pattern: ImagePattern,
): number {
  // A mirror is matched by rows that name it and by no others.
  const onMirror = pattern.host !== null && table.mirrors.has(pattern.host)
  if (pattern.literal !== null) return table.index.find(exampleImage(pattern), onMirror)
  const wide = onMirror ? [] : ['**']
  const wider = [...wide, `${pattern.host}/**`, pattern.text].map(
    (text) => firstRows.get(text) ?? Infinity,
  )
  const first = Math.min(...wider)
  return first === Infinity ? -1 : first
}

/** A candidate on a mirror is final: if its own row would send it on, images would move at every look. */
function loops(table: FallbackTable, row: FallbackRow, rowIndex: number): TableFinding[] {
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
  table: FallbackTable,
  row: FallbackRow,
  template: ImageTemplate,
  pattern: ImagePattern,
): { row: string; from: string; to: string } | null {
  const made = createCandidate(table, row, template, {
    reference: exampleImage(pattern),
    namespace: 'default',
  })
  if (made.reference === null || made.kind === 'original') return null
  if (!table.mirrors.has(made.reference.domain)) return null
  const next = selectCandidates(table, made.reference, 'default')
  const first = next.candidates[0]
  if (next.row === null || first === undefined || first.kind === 'original') return null
  return { row: next.row.name, from: repositoryName(made.reference), to: first.image }
}

/** Anybody may own a name on another public registry: a whole host of them is a bet. */
function wholeHostAlternates(
  table: FallbackTable,
  row: FallbackRow,
  rowIndex: number,
): TableFinding[] {
  if (row.alternates === 'digest') return []
  const wide = row.images.filter(({ path, literal }) => literal === null && path.startsWith('**'))
  return row.try.flatMap((template, index) => {
    const pattern = wide.find((each) => {
      const input = { reference: exampleImage(each), namespace: 'default' }
      return (
        template.host !== null && createCandidate(table, row, template, input).kind === 'alternate'
      )
    })
    if (pattern === undefined) return []
    const message = `takes another publisher's copy for every image of ${pattern.text}; name the repositories that you publish there, or say alternates: digest`
    return [{ severity: 'warning' as const, row: rowIndex, part: 'try' as const, index, message }]
  })
}

/** The original needs no proof when it comes last, so nothing comes after it. */
function uselessOtherwise(row: FallbackRow, rowIndex: number): TableFinding[] {
  const last = row.try.at(-1)
  // A mapped tag makes another image of it, which needs proof.
  if (row.otherwise === 'keep' || last === undefined || row.tags.size > 0) return []
  const isOriginal = row.images.every(
    (pattern) => renderExample(last, pattern) === repositoryName(exampleImage(pattern)),
  )
  if (!isOriginal) return []
  const message =
    'never happens: the last candidate is the original, which needs no proof; leave it out of `try`'
  return [{ severity: 'warning', row: rowIndex, part: 'otherwise', index: 0, message }]
}
