/** Compares the names that a template gives to the images of one row. */
import { defaultDomain } from '../reference/reference.ts'
import { compileGlob, fillGlob } from './glob.ts'
import type { HostImages } from './host-images.ts'
import { type ImageTemplate, renderTemplate, withHost } from './image-template.ts'
import { findSharedName, type SearchBudget } from './shared-name.ts'

/** Images of one registry, renamed by a template of a row. */
export interface RenamedImages {
  readonly images: HostImages
  readonly template: ImageTemplate
  readonly rowIndex: number
  /** The template with the host filled in. Images with different texts have different names. */
  readonly text: string
}

export interface Repository {
  readonly host: string
  readonly path: string
}

type RepositoryPair = readonly [one: Repository, other: Repository]

export function renamedBy(
  template: ImageTemplate,
  rowIndex: number,
  images: readonly HostImages[],
): RenamedImages[] {
  // A path of one segment has no {rest}, and so gets no name.
  const isNamed = ({ isLiteral, path }: HostImages) =>
    !isLiteral || path.includes('/') || !template.variables.has('rest')
  return images.filter(isNamed).map((each) => ({
    images: each,
    template,
    rowIndex,
    text: withHost(template, each.host),
  }))
}

/** Returns two images of a row that get the same name. */
export function findInRow(
  renamed: readonly RenamedImages[],
  mirrorHost: string,
  budget: SearchBudget,
): RepositoryPair | null | 'unknown' {
  if (renamed.length === 1 && renamed[0]?.template.variables.has('path') === true) return null
  for (const group of Map.groupBy(renamed, ({ text }) => text).values()) {
    const literals = group.filter(({ images }) => images.isLiteral)
    const globs = group.filter(({ images }) => !images.isLiteral)
    const literalPair = findEqualNames(literals, mirrorHost)
    if (literalPair !== null) return literalPair
    const isOneHost = new Set(group.map(({ images }) => images.host)).size === 1
    const keepsPath = group[0]?.template.variables.has('path') === true
    if (isOneHost && keepsPath) continue
    const others = keepsPath ? globs : [...globs, ...literals]
    for (const [position, glob] of globs.entries()) {
      const same = keepsPath ? findMatch(glob.images, literals, mirrorHost) : undefined
      if (same !== undefined) return [{ ...glob.images, path: same.path }, same]
      const pair = firstPair(glob, others.slice(position), mirrorHost, budget)
      if (pair !== null) return pair
    }
  }
  return null
}

function firstPair(
  one: RenamedImages,
  others: readonly RenamedImages[],
  mirrorHost: string,
  budget: SearchBudget,
): RepositoryPair | null | 'unknown' {
  for (const other of others) {
    const pair = findPair(one, other, mirrorHost, budget)
    if (pair !== null) return pair
  }
  return null
}

/** Returns the first repository of another registry whose path the glob matches. */
function findMatch(
  images: HostImages,
  literals: readonly RenamedImages[],
  mirrorHost: string,
): HostImages | undefined {
  const matches = images.path === '**' ? () => true : compileGlob(images.path)
  const isMatch = (path: string) =>
    matches(path) && path.split('/').length >= pathSetOf(images).minSegments
  return literals
    .map((each) => each.images)
    .find(
      (each) =>
        each.host !== images.host && !isOneOnMirror(each, images, mirrorHost) && isMatch(each.path),
    )
}

/** Compares single repositories. Takes linear time: a row can list thousands of them. */
function findEqualNames(
  literals: readonly RenamedImages[],
  mirrorHost: string,
): RepositoryPair | null {
  const firstByName = new Map<string, HostImages>()
  for (const each of literals) {
    const name = exampleName(each)
    const first = firstByName.get(name)
    if (first === undefined) firstByName.set(name, each.images)
    else if (differ(first, each.images) && !isOneOnMirror(first, each.images, mirrorHost))
      return [first, each.images]
  }
  return null
}

function differ(one: Repository, other: Repository): boolean {
  return one.host !== other.host || one.path !== other.path
}

/** An image on the mirror itself already has its name there. */
export function isOneOnMirror(one: Repository, other: Repository, mirrorHost: string): boolean {
  return one.host !== other.host && (one.host === mirrorHost || other.host === mirrorHost)
}

export function findPair(
  { images: one, template: { variables } }: RenamedImages,
  { images: other }: RenamedImages,
  mirrorHost: string,
  budget: SearchBudget,
): RepositoryPair | null | 'unknown' {
  if (isOneOnMirror(one, other, mirrorHost)) return null
  if (budget.steps-- <= 0) return 'unknown'
  const paths = findSharedName(variables, [pathSetOf(one), pathSetOf(other)], budget)
  if (paths === null || paths === 'unknown') return paths
  return [
    { host: one.host, path: paths[0] },
    { host: other.host, path: paths[1] },
  ]
}

function pathSetOf({ host, path }: HostImages) {
  return { host, glob: path, minSegments: host === defaultDomain ? 2 : 1 } as const
}

export function exampleName({ images: { host, path }, template }: RenamedImages): string {
  const reference = { domain: host, path: fillGlob(path), tag: null, digest: null }
  return renderTemplate(template, { reference, namespace: 'default' })
}
