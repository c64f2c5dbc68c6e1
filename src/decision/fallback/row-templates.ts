/** Compares the names that two templates of a row give to its images on one mirror. */
import { defaultDomain } from '../reference/reference.ts'
import { hasWildcard } from './glob.ts'
import type { HostImages } from './host-images.ts'
import { isOneOnMirror, type RenamedImages } from './renamed-images.ts'
import { findSharedName, type SearchBudget } from './shared-name.ts'

/** The images that get names which one glob matches. */
interface NamedImages {
  readonly images: HostImages
  readonly glob: string
  readonly minSegments: 1 | 2
}

/** The time to render a template for the images of one pattern, in steps of a search. */
const stepsOfImages = 10

/**
 * Returns a name that both templates give to images of the row, without the mirror's host; null if there is none. The images
 * can be different ones. Both lists are the images of the row, in the same order.
 */
export function findNameOfBoth(
  one: readonly RenamedImages[],
  other: readonly RenamedImages[],
  mirrorHost: string,
  budget: SearchBudget,
): { readonly name: string } | null | 'unknown' {
  budget.steps -= stepsOfImages * (one.length + other.length)
  const normalized = one.map(normalize)
  if (other.length === one.length && other.every((each, i) => normalize(each) === normalized[i]))
    return null
  const later = distinctByGlob(other)
  const laterByGlob = new Map(later.map((each) => [each.glob, each]))
  const bySegment = Map.groupBy(later, ({ glob }) => firstLiteral(glob))
  for (const first of distinctByGlob(one)) {
    for (const second of secondsOf(first)) {
      const isSameLiteral = first.images === second.images && first.images.isLiteral
      if (isSameLiteral || isOneOnMirror(first.images, second.images, mirrorHost)) continue
      if (budget.steps-- <= 0) return 'unknown'
      const sets = [
        { ...first, host: 'a' },
        { ...second, host: 'b' },
      ] as const
      const shared = findSharedName(new Set(['path'] as const), sets, budget)
      if (shared !== null) return shared === 'unknown' ? shared : { name: shared[0] }
    }
  }
  return null

  /** Returns the images whose names can be equal. A row can list thousands of repositories. */
  function secondsOf({ glob }: NamedImages): readonly NamedImages[] {
    const segment = firstLiteral(glob)
    if (segment === null) return later
    const inSegment = [...(bySegment.get(segment) ?? []), ...(bySegment.get(null) ?? [])]
    if (hasWildcard(glob)) return inSegment
    const same = laterByGlob.get(glob)
    return [
      ...(same === undefined ? [] : [same]),
      ...inSegment.filter((each) => hasWildcard(each.glob)),
    ]
  }
}

/** Returns the first segment; null if it has wildcards. */
function firstLiteral(glob: string): string | null {
  const [first = ''] = glob.split('/', 1)
  return hasWildcard(first) ? null : first
}

function distinctByGlob(renamed: readonly RenamedImages[]): NamedImages[] {
  const named = renamed.map(({ images, text, template: { variables } }): NamedImages => {
    const isOnHub = images.host === defaultDomain && variables.has('path')
    return { images, glob: nameGlob(text, images.path), minSegments: isOnHub ? 2 : 1 }
  })
  return [...new Map(named.map((each) => [each.glob, each])).values()]
}

/** Returns a glob for the names that a template gives to the paths that a glob matches. It can match other names too. */
function nameGlob(text: string, path: string): string {
  const [first = '', ...rest] = path.split('/')
  const last = rest.at(-1) ?? first
  const values: Readonly<Record<string, string>> = {
    path,
    rest: (first === '**' ? [first, ...rest] : rest).join('/'),
    flat: path.includes('**') ? '*' : path.replaceAll('/', '-'),
    name: last === '**' ? '*' : last,
    namespace: '*',
  }
  return text
    .slice(text.indexOf('/') + 1)
    .replaceAll(/\{([a-z]+)\}/g, (_, name: string) => values[name] ?? '*')
}

/** Returns the template with the literal beginning of its images written out: `a/{rest}` for `{path}` and `a/**`. */
function normalize({ images: { path }, text }: RenamedImages): string {
  const segments = path.split('/')
  const parents = segments.slice(0, -1)
  if (segments.at(-1) !== '**' && !hasWildcard(parents.join('/')))
    return text
      .replaceAll('{path}', [...parents, '{name}'].join('/'))
      .replaceAll('{rest}', [...parents.slice(1), '{name}'].join('/'))
      .replaceAll('{flat}', [...parents, '{name}'].join('-'))
  const [first = ''] = segments
  return hasWildcard(first) ? text : text.replaceAll('{path}', `${first}/{rest}`)
}
