/**
 * Compiles globs over image names and tags. The only user of minimatch. Only `*`, `**`, `?` and `[…]` are on: minimatch
 * has exponential cases with braces and extended globs (CVE-2026-26996, -27903, -27904).
 */
import { Minimatch } from 'minimatch'

const options = {
  nobrace: true,
  noext: true,
  nocomment: true,
  nonegate: true,
  dot: true,
  platform: 'linux',
} as const

/** Each run of stars can multiply the work by the length of the name. `*.dkr.ecr.*.amazonaws.com/team/*` has three. */
export const maxStars = 4

/** Two `**` search a name of 128 segments in at most 128² steps. A third would make it 128³. */
export const maxGlobstars = 2

/** Returns whether a text is a glob, and not literal. */
export function hasWildcard(text: string): boolean {
  return /[*?[\]]/.test(text)
}

/** Returns whether matching a glob could take too long. */
export function hasTooManyWildcards(glob: string): boolean {
  const runs = glob.match(/\*+/g) ?? []
  const globstars = glob.match(/\*\*/g) ?? []
  return runs.length > maxStars || globstars.length > maxGlobstars
}

/**
 * Returns a function that matches a glob, which the caller has checked with `hasTooManyWildcards`. Compiles the glob when it is
 * called first: most of the rows of a long table never are, because the index finds the others.
 */
export function compileGlob(glob: string): (text: string) => boolean {
  let matcher: Minimatch | null = null
  return (text) => (matcher ??= new Minimatch(glob, options)).match(text)
}

/** Compiles a glob over tags, such as `latest` or `*-snapshot`. Returns null if it is not a valid glob. */
export function compileTagGlob(glob: string): ((tag: string) => boolean) | null {
  // A tag has at most 128 characters (distribution/reference).
  if (glob === '' || glob.length > 128 || /[^A-Za-z0-9._*?[\]^-]/.test(glob)) return null
  if (glob.includes('**') || hasTooManyWildcards(glob)) return null
  return compileGlob(glob)
}

/** Compiles a name of a Kubernetes object, or a glob over whole names. Returns null if no name can match it. */
export function compileNameGlob(text: string): ((name: string) => boolean) | null {
  if (!hasWildcard(text)) return (name) => name === text
  // The characters of Kubernetes names are those of tags, in lower case.
  return text.toLowerCase() === text ? compileTagGlob(text) : null
}

/** Returns a short text that the glob matches. */
export function fillGlob(glob: string): string {
  if (!hasWildcard(glob)) return glob
  return glob
    .replaceAll('**', 'a/b')
    .replaceAll(/\*|\?/g, 'a')
    .replaceAll(/\[\^?(.)[^\]]*\]/g, '$1')
}
