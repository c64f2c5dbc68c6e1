/** Selects and sorts the images of the list. Pure. */
import type { ImageRow, MirrorComparison } from '../wire.ts'

export const filterNames = {
  all: 'All',
  upstream: 'Not from a mirror',
  internet: 'Needs the internet',
  failing: 'Cannot pull',
  unpinned: 'Not pinned',
  change: 'Would change',
  unprocessed: 'Not processed',
  left: 'Left unchanged',
  drifted: 'Differs from upstream',
} as const

export type FilterName = keyof typeof filterNames

const tests: Readonly<Record<Exclude<FilterName, 'drifted'>, (row: ImageRow) => boolean>> = {
  all: () => true,
  upstream: ({ onMirror }) => !onMirror,
  internet: ({ mirrored }) => mirrored === false,
  failing: ({ failing }) => failing > 0,
  unpinned: ({ pinned }) => !pinned,
  change: ({ becomes, runs }) => becomes !== null && runs.some((each) => each !== becomes),
  unprocessed: ({ unprocessed }) => unprocessed > 0,
  left: ({ left }) => left,
}

/** A node of the flow. */
export interface Place {
  readonly column: 'upstream' | 'row' | 'source' | 'namespace'
  readonly name: string
}

/** The node of the flow for images that no row matches. */
const noRow = 'no row'

function isAt({ column, name }: Place, row: ImageRow): boolean {
  switch (column) {
    case 'upstream':
      return row.upstream === name
    case 'row':
      return (row.row ?? noRow) === name
    case 'source':
      return row.sources.includes(name)
    case 'namespace':
      return row.namespace === name
  }
}

export type SortName = 'image' | 'namespace' | 'pods' | 'row'

export interface Selection {
  readonly search: string
  readonly filter: FilterName
  readonly place: Place | null
  readonly sort: SortName
  /** What the last comparison of the mirrors says, by the id of the row; null before it. */
  readonly states: MirrorComparison['rows'] | null
}

/** Returns the images that contain every word of the search, in the image, the namespace or the row. */
export function selectImages(
  rows: Iterable<ImageRow>,
  { search, filter, place, sort, states }: Selection,
): ImageRow[] {
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== '') // prettier-ignore
  const selected: ImageRow[] = []
  for (const row of rows) {
    const isShown = filter === 'drifted' ? states?.[row.id] === 'drifted' : tests[filter](row)
    if (!isShown || (place !== null && !isAt(place, row))) continue
    const text = `${row.image} ${row.namespace} ${row.row ?? noRow}`.toLowerCase()
    if (words.every((word) => text.includes(word))) selected.push(row)
  }
  return selected.sort(
    (one, other) =>
      comparers[sort](one, other) ||
      compare(one.image, other.image) ||
      compare(one.namespace, other.namespace),
  )
}

const compare = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0)

const comparers: Readonly<Record<SortName, (one: ImageRow, other: ImageRow) => number>> = {
  image: (one, other) => compare(one.image, other.image),
  namespace: (one, other) => compare(one.namespace, other.namespace),
  pods: (one, other) => other.pods - one.pods,
  row: (one, other) => compare(one.row ?? '', other.row ?? ''),
}
