/** Images of different upstreams that a flat layout can bring to one path on a mirror, so that one would be served for the other. */
import type { ImagePattern } from './image-pattern.ts'
import { renderExample, exampleImage } from './example-image.ts'
import type { FallbackRow, FallbackTable } from './table.ts'
import type { ImageTemplate } from './image-template.ts'

/** Says why the images of one row, at one of its templates, may collide; null when they cannot. */
export type FindCollision = (
  row: FallbackRow,
  rowIndex: number,
  template: ImageTemplate,
) => string | null

/** Makes the search over one table. Rows have to be given in order, because each is compared with those before it. */
export function createCollisionFinder(table: FallbackTable): FindCollision {
  const hosts = hostsByTemplate(table)
  /** The row whose images came first to a name on a mirror. */
  const landings = new Map<string, number>()

  return (row, rowIndex, template) => {
    if (template.host === null || !table.mirrors.has(template.host)) return null
    if (row.images.some((pattern) => mergesNames(template, pattern))) {
      return 'brings images of different repositories to one path; use {host}/{path} to keep them apart'
    }
    if (
      row.images.some((one, place) =>
        row.images.slice(place + 1).some((two) => meet(template, one, two)),
      )
    ) {
      return 'brings images of different registries to one path; use {host}/{path} to keep them apart'
    }
    const other = row.images
      .filter((pattern) => pattern.host !== template.host && !template.variables.has('host'))
      .map((pattern) => earlierRow({ template, pattern, rowIndex }))
      .find((found) => found !== undefined)
    if (other === undefined) return null
    return `and row ${other.name} can bring images of different registries to one path on ${template.host}; ${template.host}/{host}/{path} keeps them apart`
  }

  function earlierRow(landing: Landing): FallbackRow | undefined {
    const { template, pattern, rowIndex } = landing
    const first = firstToLand(landing)
    if (first !== undefined) {
      return first.images.some((image) => image.host !== pattern.host) ? first : undefined
    }
    // One repository may land where another row's images keep their own path.
    const name = pattern.literal === null ? null : renderExample(template, pattern)
    const path = name?.slice(name.indexOf('/') + 1)
    return (
      (path === undefined ? undefined : sharing(`${template.host}/{path}`, path, landing)) ??
      sharing(template.text, exampleImage(pattern).path, landing, rowIndex)
    )
  }

  /** The earlier row whose images land under the very same name. */
  function firstToLand({ template, pattern, rowIndex }: Landing): FallbackRow | undefined {
    const name =
      pattern.literal === null
        ? `${template.text} ${pattern.path}`
        : renderExample(template, pattern)
    const landed = landings.get(name)
    if (landed === undefined) landings.set(name, rowIndex)
    return landed === undefined || landed === rowIndex ? undefined : table.rows[landed]
  }

  /** A row for another registry that has this template and takes this path. */
  function sharing(
    text: string,
    path: string,
    { template, pattern }: Landing,
    before = Infinity,
  ): FallbackRow | undefined {
    for (const host of hosts.get(text) ?? []) {
      if (host === pattern.host || host === template.host) continue
      const index = table.index.find({ domain: host, path, tag: null, digest: null }, true)
      const row = index < before ? table.rows[index] : undefined
      if (row?.try.some((each) => each.text === text) === true) return row
    }
    return undefined
  }
}

interface Landing {
  readonly template: ImageTemplate
  readonly pattern: ImagePattern
  readonly rowIndex: number
}

/** Hosts of the patterns whose images a template brings somewhere, by the template's text. */
function hostsByTemplate({ rows }: FallbackTable): ReadonlyMap<string, ReadonlySet<string>> {
  const pairs = rows.flatMap(({ images, try: templates }) =>
    templates.flatMap(({ text }) =>
      images.flatMap(({ host }) => (host === null ? [] : [{ text, host }])),
    ),
  )
  return new Map(
    [...Map.groupBy(pairs, ({ text }) => text)].map(([text, group]) => [
      text,
      new Set(group.map(({ host }) => host)),
    ]),
  )
}

/** A template that leaves out what tells the pattern's images apart. */
function mergesNames(template: ImageTemplate, pattern: ImagePattern): boolean {
  if (pattern.literal !== null) return false
  if (!template.variables.has('path')) return true
  return pattern.host === null && !template.variables.has('host')
}

/** Two patterns of one row, for different registries, whose images the template brings together. */
function meet(template: ImageTemplate, one: ImagePattern, two: ImagePattern): boolean {
  if (one.host === two.host || template.variables.has('host')) return false
  if (one.host === template.host || two.host === template.host) return false
  if (one.literal !== null && two.literal !== null) {
    return renderExample(template, one) === renderExample(template, two)
  }
  if (one.literal !== null) return two.matches({ ...exampleImage(one), domain: two.host ?? 'a.b' })
  return two.literal === null || one.matches({ ...exampleImage(two), domain: one.host ?? 'a.b' })
}
