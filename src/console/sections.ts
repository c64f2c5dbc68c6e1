/** Builds the sections of the page from the list of images, the findings and the config. Pure. */
import type { Config } from '../config/config.ts'
import type { ImageList } from './image-list.ts'
import type { Finding, Overview, RegistryHealth, Table } from './wire.ts'

/** Reasons that the overview lists. */
const maxReasons = 8

/** Returns the section with the counts of the overview. `failingPods` are pods that cannot pull an image. */
export function overviewOf(
  list: ImageList,
  findings: readonly Finding[],
  failingPods: number,
): Overview {
  const rows = [...list.rows.values()]
  const count = (test: (row: (typeof rows)[number]) => boolean) => rows.filter(test).length
  const unchanged = countBy(
    rows.filter(
      ({ checkedAt, becomes, image, left }) =>
        checkedAt !== null && (left || becomes === null || becomes === image),
    ),
    ({ why }) => why,
  )
  return {
    pods: list.pods,
    podsOnMirror: list.podsOnMirror,
    failingPods,
    unprocessedPods: list.unprocessedPods,
    images: rows.length,
    onMirror: count(({ onMirror }) => onMirror),
    pinned: count(({ pinned }) => pinned),
    mirrored: count(({ mirrored }) => mirrored === true),
    needInternet: count(({ mirrored }) => mirrored === false),
    unknown: count(({ mirrored }) => mirrored === null),
    wouldChange: count(
      ({ becomes, runs }) => becomes !== null && runs.some((image) => image !== becomes),
    ),
    unchanged: unchanged.slice(0, maxReasons).map(([why, images]) => ({ why, images })),
    causes: findings.map(({ rule, cause, count }) => ({ rule, cause, pods: count })),
  }
}

function countBy<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
): [key: string, count: number][] {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1)
  return [...counts].toSorted(([, few], [, many]) => many - few)
}

export interface TableOptions {
  readonly file: string
  /** When the config was read, in milliseconds since 1970. */
  readonly readAt: number
  readonly registries: readonly RegistryHealth[]
}

/** Rows of the table that the page shows. A table can have thousands. */
const maxRows = 2_000

/** Returns the section with the rows of the config, and how many running images each decides. */
export function tableOf(
  config: Config,
  list: ImageList,
  { file, readAt, registries }: TableOptions,
): Table {
  const hits = new Map<string | null, { hits: number; pods: number }>()
  for (const { row, pods } of list.rows.values()) {
    const entry = hits.get(row) ?? { hits: 0, pods: 0 }
    hits.set(row, { hits: entry.hits + 1, pods: entry.pods + pods })
  }
  return {
    file,
    readAt,
    mode: config.mode,
    rows: config.table.rows.slice(0, maxRows).map((row) => ({
      name: row.name,
      images: row.images.map(({ text }) => text),
      try: row.try.map(({ text }) => text),
      when: row.when?.text ?? null,
      leave: row.leave,
      otherwise: row.otherwise,
      ...(hits.get(row.name) ?? { hits: 0, pods: 0 }),
    })),
    unmatched: hits.get(null)?.hits ?? 0,
    warnings: config.warnings,
    registries,
  }
}
