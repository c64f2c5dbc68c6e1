/** Selects tags of a repository by pattern, semver range and number. */
import { compare, parse, satisfies, type SemVer } from 'semver'

export interface TagSelector {
  readonly matches: (tag: string) => boolean
  /** A semver range; excludes tags that are not versions. */
  readonly semver: string | null
  readonly newest: number | null
}

/**
 * Returns the selected tags, the newest first: versions in their order, then other tags by name. Also takes `v1.2` and `1` as
 * the versions `1.2.0` and `1.0.0`; `1.2.3-alpine` is a pre-release, as in semver. Pure.
 */
export function selectTags(
  tags: readonly string[],
  { matches, semver, newest }: TagSelector,
): readonly string[] {
  const selected = tags
    .filter(matches)
    .map((tag) => ({ tag, version: versionOf(tag) }))
    .filter(({ version }) => semver === null || (version !== null && satisfies(version, semver)))
    .sort(newestFirst)
    .map(({ tag }) => tag)
  return newest === null ? selected : selected.slice(0, newest)
}

interface VersionedTag {
  readonly tag: string
  readonly version: SemVer | null
}

const collator = new Intl.Collator('en', { numeric: true })

function newestFirst(one: VersionedTag, other: VersionedTag): number {
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
