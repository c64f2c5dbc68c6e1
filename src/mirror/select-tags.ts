/** Which tags of a repository are wanted. The only user of semver beside the config's check. */
import { compare, parse, satisfies, type SemVer } from 'semver'

export interface TagSelector {
  readonly matches: (tag: string) => boolean
  /** A range; a tag that is no version is not in it. */
  readonly semver: string | null
  readonly newest: number | null
}

/**
 * The tags that fit, the newest first: versions by their order, then the rest by their spelling. `v1.2` and `1` are
 * versions as `1.2.0` and `1.0.0` are; `1.2.3-alpine` is a pre-release, as semver has it. Pure.
 */
export function selectTags(
  tags: readonly string[],
  { matches, semver, newest }: TagSelector,
): readonly string[] {
  const chosen = tags
    .filter(matches)
    .map((tag) => ({ tag, version: versionOf(tag) }))
    .filter(({ version }) => semver === null || (version !== null && satisfies(version, semver)))
    .sort(newestFirst)
    .map(({ tag }) => tag)
  return newest === null ? chosen : chosen.slice(0, newest)
}

interface Versioned {
  readonly tag: string
  readonly version: SemVer | null
}

const collator = new Intl.Collator('en', { numeric: true })

function newestFirst(one: Versioned, other: Versioned): number {
  if (one.version !== null && other.version !== null) {
    return compare(other.version, one.version) || collator.compare(other.tag, one.tag)
  }
  if (one.version !== null || other.version !== null) return one.version === null ? 1 : -1
  return collator.compare(other.tag, one.tag)
}

function versionOf(tag: string): SemVer | null {
  const [, numbers = '', rest = ''] = /^v?([0-9]+(?:\.[0-9]+){0,2})([-+].*)?$/.exec(tag) ?? []
  if (numbers === '') return null
  const missing = 3 - numbers.split('.').length
  return parse(`${numbers}${'.0'.repeat(missing)}${rest}`)
}
