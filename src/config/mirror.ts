/** `mirror.images`: what is to be copied, with every tag, glob and range checked. */
import validRange from 'semver/ranges/valid.js'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { compileTagGlob } from '../decision/fallback/image-pattern.ts'
import { parseReference } from '../decision/reference/parse.ts'
import type { MirrorImage } from './config.ts'
import type { ReportProblem } from './registries.ts'
import type { ConfigInput } from './schema.ts'

export function readMirrorImages({ mirror }: ConfigInput, report: ReportProblem): MirrorImage[] {
  return mirror.images.flatMap(({ image, tags, semver, newest }, index) => {
    const at = (key: string, message: string) =>
      report('error', ['mirror', 'images', index, key], message)
    const parsed = parseReference(image)
    if (!parsed.ok) {
      at('image', `is no image name: ${parsed.message}`)
      return []
    }
    const reference = canonicalReference(parsed.reference)
    const isOne = reference.tag !== null || reference.digest !== null
    const isChosen = tags.length > 0 || semver !== undefined || newest !== undefined
    if (isOne && isChosen)
      at('image', 'has a tag or digest, and `tags`, `semver` or `newest` beside it; keep one')
    if (semver !== undefined && validRange(semver) === null)
      at('semver', `${semver} is no range of versions; write for example ">=1.2 <2"`)
    const matchers = tags.map((tag) => compileTagGlob(tag))
    if (matchers.includes(null)) at('tags', 'has what is neither a tag nor a glob over tags')
    const isGlob = tags.some((tag) => /[*?[\]]/.test(tag))
    return [
      {
        reference,
        named: isGlob ? [] : tags,
        matches: (tag) => tags.length === 0 || matchers.some((matches) => matches?.(tag) === true),
        isOpen: !isOne && (isGlob || semver !== undefined || newest !== undefined),
        semver: semver ?? null,
        newest: newest ?? null,
      },
    ]
  })
}
