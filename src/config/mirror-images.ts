/** Reads `mirror.images` of the config: which images and tags `berth mirror` copies. */
import validRange from 'semver/ranges/valid.js'
import { compileTagGlob, hasWildcard } from '../decision/fallback/glob.ts'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { parseName } from '../decision/reference/parse-name.ts'
import type { MirrorImage } from './config.ts'
import type { ReportProblem } from './problem.ts'
import type { ConfigInput } from './schema.ts'

/** Returns the images, without those that do not parse. */
export function readMirrorImages(
  inputs: ConfigInput['mirror']['images'],
  report: ReportProblem,
): MirrorImage[] {
  return inputs.flatMap(({ image, tags, semver, newest }, index) => {
    const reportError = (key: string, message: string) =>
      report('error', ['mirror', 'images', index, key], message)
    const parsed = parseName(image)
    if (!parsed.ok) {
      reportError('image', `${image} is not a valid image: ${parsed.message}`)
      return []
    }
    const reference = canonicalReference(parsed.reference)
    const isSingleImage = reference.tag !== null || reference.digest !== null
    const selectsTags = tags.length > 0 || semver !== undefined || newest !== undefined
    if (isSingleImage && selectsTags)
      reportError(
        'image',
        `${image} has a tag or digest, and the entry also has \`tags\`, \`semver\` or \`newest\`; remove one of them`,
      )
    if (semver !== undefined && validRange(semver) === null)
      reportError('semver', `"${semver}" is not a version range; write for example ">=1.2 <2"`)
    const matchers = tags.map((tag) => compileTagGlob(tag))
    const invalid = tags.find((_, position) => matchers[position] === null)
    if (invalid !== undefined)
      reportError('tags', `"${invalid}" is neither a tag nor a glob for tags`)
    const hasGlob = tags.some(hasWildcard)
    return [
      {
        reference,
        literalTags: hasGlob ? [] : tags,
        matches: (tag) => tags.length === 0 || matchers.some((matches) => matches?.(tag) === true),
        needsTagList: !isSingleImage && (hasGlob || semver !== undefined || newest !== undefined),
        semver: semver ?? null,
        newest: newest ?? null,
      },
    ]
  })
}
