/** Sorts tags by similarity to a tag that does not exist, to suggest what the user may have meant. */
import { editDistance } from './did-you-mean.ts'

/** Returns all tags, the most similar first; equally similar ones by version, the newest first. */
export function similarTags(wanted: string, tags: readonly string[]): readonly string[] {
  // Sorts `1.10` after `1.9`. Created here, because it takes 10 ms, and most commands never use it.
  const collator = new Intl.Collator('en', { numeric: true })
  return tags
    .map((tag) => ({ tag, distance: distanceOf(wanted, tag) }))
    .toSorted((one, other) => one.distance - other.distance || collator.compare(other.tag, one.tag))
    .map(({ tag }) => tag)
}

/** If one tag starts with the other, each additional letter counts half: `1.2.1` is close to `1.2`. */
function distanceOf(wanted: string, tag: string): number {
  if (tag.startsWith(wanted) || wanted.startsWith(tag)) {
    return Math.abs(tag.length - wanted.length) / 2
  }
  return editDistance(wanted, tag)
}
