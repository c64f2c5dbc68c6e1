/** The list of images, with search and filters. Only the visible rows are drawn, so it stays fast with 10,000 images. */
import { useMemo, useState } from 'preact/hooks'
import type { ImageRow, MirrorComparison } from '../wire.ts'
import { shortDigest } from './format.ts'
import {
  type FilterName,
  filterNames,
  type Place,
  selectImages,
  type SortName,
} from './image-filter.ts'
import { Badge, Empty } from './parts.tsx'
import { useIsNarrow } from './use-narrow.ts'
import { VirtualRows } from './virtual-rows.tsx'

export interface ImageTableProps {
  readonly images: ReadonlyMap<string, ImageRow>
  readonly filter: FilterName
  readonly place: Place | null
  readonly onFilter: (filter: FilterName) => void
  readonly onPlace: (place: Place | null) => void
  readonly onOpen: (id: string) => void
  /** The last comparison of the mirrors with upstream. */
  readonly comparison: MirrorComparison | null
}

type MirrorState = MirrorComparison['rows'][string]

const placeNames = { upstream: 'from', row: 'row', source: 'pulled from', namespace: 'namespace' }

const sorts: Readonly<Record<SortName, string>> = {
  image: 'Image',
  namespace: 'Namespace',
  pods: 'Most pods',
  row: 'Row',
}

export function ImageTable(props: ImageTableProps) {
  const { images, filter, place, onFilter, onPlace, onOpen, comparison } = props
  const states = comparison?.rows ?? null
  const [search, setSearch] = useState('')
  const [sort, setSort] = useState<SortName>('image')
  const isNarrow = useIsNarrow()
  const selected = useMemo(
    () => selectImages(images.values(), { search, filter, place, sort, states }),
    [images, search, filter, place, sort, states],
  )
  return (
    <>
      <div class="controls">
        <label class="grow">
          <span class="label">Search</span>
          <input
            type="search"
            value={search}
            placeholder="image, namespace or row"
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </label>
        <label>
          <span class="label">Show</span>
          <select
            value={filter}
            onChange={(event) => onFilter(event.currentTarget.value as FilterName)}
          >
            {Object.entries(filterNames).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span class="label">Sort by</span>
          <select value={sort} onChange={(event) => setSort(event.currentTarget.value as SortName)}>
            {Object.entries(sorts).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
      </div>
      <p class="count" role="status">
        {selected.length.toLocaleString('en')} of {images.size.toLocaleString('en')} images
        {place !== null && (
          <button type="button" class="chip" onClick={() => onPlace(null)}>
            {placeNames[place.column]} <b>{place.name}</b>
            <span aria-hidden="true"> ×</span>
            <span class="hidden"> (remove)</span>
          </button>
        )}
      </p>
      {selected.length === 0 ? (
        <NoImages
          isEmpty={images.size === 0}
          isUncompared={filter === 'drifted' && states === null}
        />
      ) : (
        <VirtualRows
          label="Images"
          headings={['Image', 'Namespace', 'Pods', 'Row', 'Pulled from', 'State']}
          rows={selected}
          rowHeight={isNarrow ? 88 : 40}
          keyOf={({ id }) => id}
          cells={(row) => cellsOf(row, onOpen, states?.[row.id])}
        />
      )}
    </>
  )
}

function NoImages({
  isEmpty,
  isUncompared,
}: {
  readonly isEmpty: boolean
  readonly isUncompared: boolean
}) {
  if (isEmpty) return <Empty title="No pods run an image here" />
  if (!isUncompared) return <Empty title="No image matches" />
  return (
    <Empty title="Not compared yet">
      The view <a href="#/mirror">Mirrors</a> compares the mirrors with upstream.
    </Empty>
  )
}

function cellsOf(row: ImageRow, onOpen: (id: string) => void, state: MirrorState | undefined) {
  return [
    <button type="button" class="link mono" title={row.image} onClick={() => onOpen(row.id)}>
      {shortDigest(row.image)}
    </button>,
    row.namespace,
    <span class="number">
      {row.pods}
      <span class="unit"> {row.pods === 1 ? 'pod' : 'pods'}</span>
    </span>,
    <span class={row.row === null ? 'dim' : ''}>{row.row ?? 'no row'}</span>,
    <span class="mono">{row.sources.join(', ')}</span>,
    <ImageState row={row} state={state} />,
  ]
}

/** The state that needs attention first. */
export function ImageState({
  row,
  state,
}: {
  readonly row: ImageRow
  /** What the last comparison of the mirrors says. */
  readonly state?: MirrorState | undefined
}) {
  return (
    <span class="badges">
      {row.failing > 0 && <Badge tone="bad">cannot pull</Badge>}
      {row.unprocessed > 0 && <Badge tone="warn">not processed</Badge>}
      {row.checkedAt !== null && row.mirrored === false && (
        <Badge tone="warn">needs internet</Badge>
      )}
      {row.checkedAt !== null && row.mirrored === null && <Badge tone="plain">unknown</Badge>}
      {state === 'drifted' && <Badge tone="warn">drift</Badge>}
      {row.left && <Badge tone="plain">left unchanged</Badge>}
      {row.mirrored === true && <Badge tone="good">on the mirror</Badge>}
      {row.pinned && <Badge tone="good">pinned</Badge>}
    </span>
  )
}
