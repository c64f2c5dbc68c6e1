/**
 * Finds rows that put images of different repositories under the same name on a mirror. The mirror would then serve one
 * image for another.
 */
import { exampleImage, renderExample } from './example-image.ts'
import type { ImagePattern } from './image-pattern.ts'
import type { ImageTemplate } from './image-template.ts'
import { canonicalReference } from './registry-aliases.ts'
import { createRowIndex } from './row-index.ts'
import type { FallbackRow, FallbackTable } from './table.ts'

/** Returns why images of the row collide on the mirror of one of its templates; null if they do not. */
export type FindCollision = (
  row: FallbackRow,
  rowIndex: number,
  template: ImageTemplate,
) => string | null

/** Returns the search over one table. Call it in the order of the rows: it compares each row with the earlier ones. */
export function createCollisionFinder(table: FallbackTable): FindCollision {
  const hostsByTemplate = collectHosts(table)
  // A name on a mirror has one content, whatever pods ask for it.
  const index = createRowIndex(
    table.rows
      .map(({ images, leave }, position) => ({ position, images, leave }))
      .filter(({ leave }) => !leave),
  )
  /** The first row that uses a name on a mirror. */
  const firstRows = new Map<string, number>()

  return (row, rowIndex, template) => {
    const mirror = template.host
    if (mirror === null || !table.mirrors.has(mirror)) return null
    const fix = `use ${mirror}/{host}/{path} to keep them apart`
    if (row.images.some((pattern) => dropsDistinction(template, pattern)))
      return `the template gives images of different repositories the same name; ${fix}`
    const collides = row.images.some((one, index) =>
      row.images.slice(index + 1).some((other) => collide(template, one, other)),
    )
    if (collides) return `the template gives images of different registries the same name; ${fix}`
    const other = row.images
      .filter((pattern) => pattern.host !== mirror && !template.variables.has('host'))
      .map((pattern) => earlierRow({ template, pattern, rowIndex }))
      .find((found) => found !== undefined)
    if (other === undefined) return null
    return `this row and row ${other.name} can give images of different registries the same name on ${mirror}; ${fix}`
  }

  function earlierRow(target: RenamedImages): FallbackRow | undefined {
    const { template, pattern, rowIndex } = target
    const first = firstRowWithSameName(target)
    if (first !== undefined)
      return first.images.some((image) => image.host !== pattern.host) ? first : undefined
    // The new name of a single repository may be the unchanged path of an image of another row.
    const name = pattern.literal === null ? null : renderExample(template, pattern)
    const unchangedPath =
      name === null
        ? undefined
        : rowForOtherHost(`${template.host}/{path}`, name.slice(name.indexOf('/') + 1), target)
    return (
      unchangedPath ?? rowForOtherHost(template.text, exampleImage(pattern).path, target, rowIndex)
    )
  }

  /** Returns the earlier row whose images get exactly the same name. */
  function firstRowWithSameName({
    template,
    pattern,
    rowIndex,
  }: RenamedImages): FallbackRow | undefined {
    const name =
      pattern.literal === null
        ? `${template.text} ${pattern.path}`
        : renderExample(template, pattern)
    const first = firstRows.get(name)
    if (first === undefined) firstRows.set(name, rowIndex)
    return first === undefined || first === rowIndex ? undefined : table.rows[first]
  }

  /** Returns a row before `before` that matches this path on another registry and has the template with this text. */
  function rowForOtherHost(
    templateText: string,
    path: string,
    { template, pattern }: RenamedImages,
    before = Infinity,
  ): FallbackRow | undefined {
    for (const host of hostsByTemplate.get(templateText) ?? []) {
      if (host === pattern.host || host === template.host) continue
      const image = canonicalReference({ domain: host, path, tag: null, digest: null })
      const found = index.find(image, true)
      const row = found < before ? table.rows[found] : undefined
      if (row?.try.some(({ text }) => text === templateText) === true) return row
    }
    return undefined
  }
}

/** The images of one pattern, renamed by one template. */
interface RenamedImages {
  readonly template: ImageTemplate
  readonly pattern: ImagePattern
  readonly rowIndex: number
}

/** Returns the hosts of the patterns that use a template, by the text of the template. */
function collectHosts({ rows }: FallbackTable): ReadonlyMap<string, ReadonlySet<string>> {
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

/** Returns true if the template drops a part of the name in which images of the pattern differ. */
function dropsDistinction(template: ImageTemplate, pattern: ImagePattern): boolean {
  if (pattern.literal !== null) return false
  if (!template.variables.has('path')) return true
  return pattern.host === null && !template.variables.has('host')
}

/** Returns true if images of two patterns for different registries can get the same name. */
function collide(template: ImageTemplate, one: ImagePattern, other: ImagePattern): boolean {
  if (one.host === other.host || template.variables.has('host')) return false
  if (one.host === template.host || other.host === template.host) return false
  if (one.literal !== null && other.literal !== null)
    return renderExample(template, one) === renderExample(template, other)
  const matchesOnItsHost = (pattern: ImagePattern, example: ImagePattern) =>
    pattern.matches(canonicalReference({ ...exampleImage(example), domain: pattern.host ?? 'a.b' }))
  if (one.literal !== null) return matchesOnItsHost(other, one)
  return other.literal === null || matchesOnItsHost(one, other)
}
