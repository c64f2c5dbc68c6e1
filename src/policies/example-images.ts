/** Makes example images that both a row of the table and a glob of a policy match. Pure. */
import { exampleImage } from '../decision/fallback/example-image.ts'
import { withHost } from '../decision/fallback/image-template.ts'
import type { ImagePattern } from '../decision/fallback/image-pattern.ts'
import type { FallbackRow } from '../decision/fallback/table.ts'
import { defaultDomain, formatReference } from '../decision/reference/reference.ts'
import type { PolicyRule } from './policy-rule.ts'
import {
  compileWildcard,
  findCommonText,
  literalPrefix,
  literalToken,
  stripPrefix,
  type Wildcard,
  type WildcardBudget,
  wildcardToken,
} from './wildcard.ts'

/** Two examples: an earlier row may decide about the first one. */
const fillers = ['x', 'q'] as const

/** Returns images that both the row and the rule may match. The caller checks each of them. */
export function exampleImages(
  row: FallbackRow,
  rule: PolicyRule,
  budget: WildcardBudget,
): readonly string[] {
  const globs = [...rule.globs, ...rule.skipped].flatMap(({ alternatives }) => alternatives)
  const texts = rule.prefixes.map(literalText)
  const wanted = [...globs, ...texts, ...texts.map((text) => [...text, anyText])].map(withPrefix)
  const examples = new Set<string>()
  for (const pattern of row.images) {
    examples.add(formatReference({ ...exampleImage(pattern), tag: 'x' }))
    const all = [...wanted, ...upstreamGlobs(row, pattern, globs).map(withPrefix)]
    const images = imageWildcards(pattern, rule.engine.hubPrefixes).map(withPrefix)
    for (const found of allCommonImages(images, all, budget)) examples.add(found)
  }
  return [...examples]
}

function allCommonImages(
  images: readonly PrefixedWildcard[],
  globs: readonly PrefixedWildcard[],
  budget: WildcardBudget,
): string[] {
  const found: string[] = []
  for (const image of images)
    for (const glob of globs) {
      budget.steps -= 1
      if (budget.steps <= 0) return found
      if (mayOverlap(image, glob))
        found.push(...commonImages(image.wildcard, glob.wildcard, budget))
    }
  return found
}

function commonImages(image: Wildcard, glob: Wildcard, budget: WildcardBudget): string[] {
  const found: string[] = []
  for (const filler of fillers) {
    const text = findCommonText(image, glob, { filler, budget })
    if (text === null) break
    found.push(text)
  }
  return found
}

/** A glob with the characters before its first wildcard, to see quickly that two globs match nothing in common. */
interface PrefixedWildcard {
  readonly wildcard: Wildcard
  readonly prefix: string
}

function withPrefix(wildcard: Wildcard): PrefixedWildcard {
  return { wildcard, prefix: literalPrefix(wildcard) }
}

function mayOverlap(one: PrefixedWildcard, other: PrefixedWildcard): boolean {
  return one.prefix.startsWith(other.prefix) || other.prefix.startsWith(one.prefix)
}

/** Returns the globs of images whose name on a mirror a glob of the policy matches. */
function upstreamGlobs(
  row: FallbackRow,
  pattern: ImagePattern,
  globs: readonly Wildcard[],
): Wildcard[] {
  const { host } = pattern
  if (host === null) return []
  return row.try.flatMap((template) => {
    const filled = withHost(template, host)
    if (!filled.endsWith('{path}') || filled.indexOf('{') !== filled.length - '{path}'.length)
      return []
    const prefix = filled.slice(0, -'{path}'.length)
    return globs
      .flatMap((glob) => stripPrefix(glob, prefix))
      .map((rest) => [...literalText(`${host}/`), ...rest])
  })
}

/** Returns globs for the images of a pattern with a tag or a digest, in each spelling that the engine may see. */
function imageWildcards(pattern: ImagePattern, hubPrefixes: readonly string[]): Wildcard[] {
  const { host, path } = pattern
  if (host === null) return withSuffixes(pathWildcard(pattern.text))
  if (host !== defaultDomain)
    return withSuffixes([...literalText(`${host}/`), ...pathWildcard(path)])
  // Official images have no namespace in the short spelling.
  const paths = path.startsWith('library/') ? [path, path.slice('library/'.length)] : [path]
  return hubPrefixes.flatMap((prefix) =>
    paths.flatMap((each) => withSuffixes([...literalText(prefix), ...pathWildcard(each)])),
  )
}

function withSuffixes(repository: Wildcard): Wildcard[] {
  return [
    [...repository, literalToken(':'), tagCharacter, tagCharacters],
    [...repository, ...literalText('@sha256:'), ...Array.from({ length: 64 }, () => hexDigit)],
    repository,
  ]
}

const anyText = wildcardToken('*', () => true, true)
const hexDigit = wildcardToken('?', (character) => /[0-9a-f]/.test(character), false)
const tagCharacter = wildcardToken('?', (character) => /[A-Za-z0-9_]/.test(character), false)
const tagCharacters = wildcardToken('*', (character) => /[A-Za-z0-9_.-]/.test(character), true)
const pathCharacter = wildcardToken('?', (character) => /[a-z0-9]/.test(character), false)
const segmentCharacters = wildcardToken('*', (character) => /[a-z0-9._-]/.test(character), true)
const pathCharacters = wildcardToken('**', (character) => /[a-z0-9._/-]/.test(character), true)

/** Reads `*`, `**`, `?` and `[…]` of a pattern of the config. Each wildcard matches at least one character. */
function pathWildcard(glob: string): Wildcard {
  return (glob.match(/\*\*|\[\^?[^\]]+\]|./g) ?? []).flatMap((part) => {
    if (part === '**') return [pathCharacter, pathCharacters]
    if (part === '*') return [pathCharacter, segmentCharacters]
    if (part === '?') return [pathCharacter]
    if (part.length === 1) return [literalToken(part)]
    const compiled = compileWildcard(part.replace('[^', '[!'), 'gobwas')
    return compiled.ok ? (compiled.alternatives[0] ?? []) : [pathCharacter]
  })
}

function literalText(text: string): Wildcard {
  return [...text].map((character) => literalToken(character))
}
