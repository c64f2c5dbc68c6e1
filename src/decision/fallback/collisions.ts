/**
 * Finds rows that put images of different repositories under the same name on a mirror. The mirror would then serve one
 * image for another.
 */
import { findAmbiguousSegment } from './ambiguous-template.ts'
import { fillGlob } from './glob.ts'
import { findMeetingHosts, type HostImages, splitByHost } from './host-images.ts'
import { type ImageTemplate, withHost } from './image-template.ts'
import { canonicalHost, canonicalReference } from './registry-aliases.ts'
import {
  exampleName,
  findInRow,
  findPair,
  type RenamedImages,
  renamedBy,
  type Repository,
} from './renamed-images.ts'
import { findNameOfBoth } from './row-templates.ts'
import { createRowIndex, type RowIndex } from './row-index.ts'
import type { SearchBudget } from './shared-name.ts'
import type { FallbackRow, FallbackTable } from './table.ts'

/** Returns why images of the row collide on the mirror of one of its templates; null if they do not. */
export type FindCollision = (rowIndex: number, template: ImageTemplate) => string | null

/** The maximum number of search steps for a whole table, which take about a second. */
const maxSteps = 2_000_000

/** The maximum for the images of one template, so that one row does not use up the steps of the others. */
const maxStepsOfTemplate = 400_000

/** Returns the search over one table. Call it in the order of the rows: it compares each row with the earlier ones. */
export function createCollisionFinder(
  table: FallbackTable,
  hosts: Iterable<string>,
): FindCollision {
  const { rows, mirrors, isPlainHttp } = table
  const budgets = shareSteps(maxSteps, maxStepsOfTemplate)
  let isUndecided = false
  const listed = [...hosts].map((host) => canonicalHost(host, isPlainHttp))
  const patterns = rows.flatMap(({ images }) => images)
  const meeting = findMeetingHosts(listed, patterns)
  const imagesByRow = rows.map(({ images }) => {
    const hasSeveralWildcards = images.filter(({ host }) => host === null).length > 1
    const named = images.flatMap((pattern) => pattern.canonicalHost ?? [])
    const others = [...meeting, ...named, ...(hasSeveralWildcards ? listed : [])]
    return (
      images
        .flatMap((pattern) => splitByHost(pattern, others))
        // On a mirror, only patterns with its host match.
        .filter(({ host, isWildcardHost }) => !isWildcardHost || !mirrors.has(host))
    )
  })
  const findInEarlierRows = createEarlierRowSearch({ table, imagesByRow, meeting })

  return (rowIndex, template) => {
    const mirror = template.host
    if (mirror === null || !mirrors.has(mirror)) return null
    const renamed = renamedBy(template, rowIndex, imagesByRow[rowIndex] ?? [])
    const budget = budgets.next()
    const fix = `use ${mirror}/{host}/{path} to keep them apart`
    const pair = findInRow(renamed, canonicalHost(mirror, isPlainHttp), budget)
    if (pair === 'unknown') return undecided(mirror)
    if (pair !== null) {
      const [one, other] = pair
      const kind = one.host === other.host ? 'repositories' : 'registries'
      const names = `${one.host}/${one.path} and ${other.host}/${other.path}`
      if (template.variables.has('host') && one.host !== other.host)
        return `the template gives images of ${one.host} and ${other.host} the same name (${names}), because both hosts have the same {host} in a path; write a row with a literal path for one of them`
      return `the template gives images of different ${kind} the same name (${names}); ${fix}`
    }
    const segment = findAmbiguousSegment(renamed)
    if (segment !== null)
      return `Berth cannot prove that no two images get the same name on ${mirror}, because ${segment} joins variables in one segment; write a / between them`
    const ofRow = findInEarlierTemplates(rowIndex, template, renamed, budget)
    if (ofRow !== null) return ofRow
    const earlier = findInEarlierRows(template, renamed, budget)
    if (earlier === 'unknown') return undecided(mirror)
    if (earlier === undefined) return null
    return `this row and row ${earlier.row.name} can give images of different ${earlier.of} the same name on ${mirror}; ${fix}`
  }

  /** Returns why the template and an earlier one of the row give different images the same name. */
  function findInEarlierTemplates(
    rowIndex: number,
    template: ImageTemplate,
    renamed: readonly RenamedImages[],
    budget: SearchBudget,
  ): string | null {
    const templates = rows[rowIndex]?.try ?? []
    if (templates[0] === template) return null
    const mirror = template.host ?? ''
    const mirrorHost = canonicalHost(mirror, isPlainHttp)
    for (const each of templates.slice(0, templates.indexOf(template))) {
      if (each.host === null || canonicalHost(each.host, isPlainHttp) !== mirrorHost) continue
      if (budget.steps <= 0) return undecided(mirror)
      const earlier = renamedBy(each, rowIndex, imagesByRow[rowIndex] ?? [])
      const shared = findNameOfBoth(earlier, renamed, mirrorHost, budget)
      if (shared === 'unknown') return undecided(mirror)
      if (shared !== null)
        return `this template and ${each.text} can give different images of the row the same name (${mirror}/${shared.name}); begin their paths with different segments, such as ${mirror}/a/{path} and ${mirror}/b/{path}`
    }
    return null
  }

  /** Reports the first row only: the later ones have the same reason. */
  function undecided(mirror: string): string | null {
    if (isUndecided) return null
    isUndecided = true
    return `the table has too many patterns to find out whether the images of this row and of later ones keep different names; use ${mirror}/{host}/{path}`
  }
}

/** Shares a number of steps among budgets, each of which gets back what the one before it has left. */
function shareSteps(total: number, share: number): { next(): SearchBudget } {
  let left = total
  let last: SearchBudget = { steps: 0 }
  return {
    next: () => {
      left += Math.max(last.steps, 0)
      last = { steps: Math.min(left, share) }
      left -= last.steps
      return last
    },
  }
}

interface EarlierRow {
  readonly row: FallbackRow
  readonly of: 'registries' | 'repositories'
}

interface EarlierRowOptions {
  readonly table: FallbackTable
  readonly imagesByRow: readonly (readonly HostImages[])[]
  readonly meeting: ReadonlySet<string>
}

type FindEarlierRow = (
  template: ImageTemplate,
  renamed: readonly RenamedImages[],
  budget: SearchBudget,
) => EarlierRow | 'unknown' | undefined

/** Returns a function that finds a row whose images get the same names as those of a later row. */
function createEarlierRowSearch(options: EarlierRowOptions): FindEarlierRow {
  const { table, imagesByRow, meeting } = options
  const { rows, mirrors, isPlainHttp } = table
  const hostsByText = collectHosts(rows, imagesByRow, meeting)
  /** Most tables keep their hosts apart, and need no index. */
  let index: RowIndex | undefined
  /** The first row that uses a name on a mirror. */
  const firstRows = new Map<string, number>()
  const shortenedEarlier = createShortenedSearch(options, findRow)

  return (template, renamed, budget) => {
    const isNamed = ({ images: { host, isWildcardHost } }: RenamedImages) =>
      !isWildcardHost || meeting.has(host)
    const mirrorHost = canonicalHost(template.host ?? '', isPlainHttp)
    const named = renamed.filter(isNamed).filter(({ images }) => images.host !== mirrorHost)
    for (const each of named) {
      const row = rowWithSameNames(each)
      if (row !== undefined) return { row, of: 'registries' }
    }
    return template.variables.has('path') ? undefined : shortenedEarlier(named, mirrorHost, budget)
  }

  function rowWithSameNames(target: RenamedImages): FallbackRow | undefined {
    const { images, text, rowIndex, template } = target
    const name = images.isLiteral ? exampleName(target) : `${text} ${images.path}`
    const first = firstRows.get(name)
    if (first === undefined) firstRows.set(name, rowIndex)
    else if (first !== rowIndex)
      return imagesByRow[first]?.some(({ host }) => host !== images.host) === true
        ? rows[first]
        : undefined
    // The new name of a single repository may be the unchanged path of an image of another row.
    const path = images.isLiteral ? name.slice(name.indexOf('/') + 1) : null
    const unchangedPath =
      path === null ? undefined : rowForOtherHost(`${template.host}/{path}`, path, target)
    return unchangedPath ?? rowForOtherHost(text, fillGlob(images.path), target, rowIndex)
  }

  /** Returns a row before `before` that matches this path on another registry, and whose template has this text there. */
  function rowForOtherHost(
    text: string,
    path: string,
    { images, template }: RenamedImages,
    before = Infinity,
  ): FallbackRow | undefined {
    for (const host of hostsByText.get(text) ?? []) {
      if (host === images.host || host === template.host) continue
      const found = findRow({ host, path })
      const row = found < before ? rows[found] : undefined
      if (row?.try.some((each) => withHost(each, host) === text) === true) return row
    }
    return undefined
  }

  function findRow({ host, path }: Repository): number {
    const image = canonicalReference({ domain: host, path, tag: null, digest: null })
    index ??= indexRenamedRows(rows)
    return index.find(image, mirrors.has(host) || !meeting.has(host))
  }
}

/** Indexes the rows without their conditions: a name on a mirror has one content, whatever pods ask for it. */
function indexRenamedRows(rows: readonly FallbackRow[]): RowIndex {
  return createRowIndex(
    rows
      .map(({ images, leave }, position) => ({ position, images, leave }))
      .filter(({ leave }) => !leave),
  )
}

/** Returns a function that finds an earlier row with the same names, for templates that drop a part of the path. */
function createShortenedSearch(
  { table: { rows } }: EarlierRowOptions,
  findRow: (image: Repository) => number,
) {
  const renamedByText = new Map<string, RenamedImages[]>()
  const literalByName = new Map<string, RenamedImages>()

  return (
    named: readonly RenamedImages[],
    mirrorHost: string,
    budget: SearchBudget,
  ): EarlierRow | 'unknown' | undefined => {
    let isUnknown = false
    for (const target of named) {
      for (const other of othersOf(target)) {
        const pair = findPair(target, other, mirrorHost, budget)
        isUnknown ||= pair === 'unknown'
        if (pair === null || pair === 'unknown') continue
        const [one, two] = pair
        const row = rows[other.rowIndex]
        // Another row may decide for the images that were found.
        if (row === undefined || findRow(one) !== target.rowIndex) continue
        if (findRow(two) !== other.rowIndex) continue
        return { row, of: one.host === two.host ? 'repositories' : 'registries' }
      }
      remember(target)
    }
    return isUnknown ? 'unknown' : undefined
  }

  /** Returns the images of earlier rows to compare with. A table can have thousands of rows for single repositories. */
  function othersOf(target: RenamedImages): RenamedImages[] {
    const isOther = ({ rowIndex }: RenamedImages) => rowIndex !== target.rowIndex
    const all = renamedByText.get(target.text) ?? []
    if (!target.images.isLiteral) return all.filter(isOther)
    const literal = literalByName.get(exampleName(target))
    const globs = all.filter(({ images }) => !images.isLiteral)
    return [...(literal === undefined ? [] : [literal]), ...globs].filter(isOther)
  }

  function remember(target: RenamedImages): void {
    const known = renamedByText.get(target.text)
    if (known === undefined) renamedByText.set(target.text, [target])
    else known.push(target)
    if (!target.images.isLiteral) return
    const name = exampleName(target)
    if (!literalByName.has(name)) literalByName.set(name, target)
  }
}

/** Returns the hosts of the images that a template renames, by the text of the template for this host. */
function collectHosts(
  rows: readonly FallbackRow[],
  imagesByRow: readonly (readonly HostImages[])[],
  meeting: ReadonlySet<string>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const hostsByText = new Map<string, Set<string>>()
  for (const [index, { try: templates }] of rows.entries()) {
    const images = (imagesByRow[index] ?? []).filter(
      ({ host, isWildcardHost }) => !isWildcardHost || meeting.has(host),
    )
    for (const template of templates) {
      for (const { host } of images) addTo(hostsByText, withHost(template, host), host)
    }
  }
  return hostsByText
}

function addTo(sets: Map<string, Set<string>>, key: string, value: string): void {
  const known = sets.get(key)
  if (known === undefined) sets.set(key, new Set([value]))
  else known.add(value)
}
