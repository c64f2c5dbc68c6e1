/** Tags that somebody may have meant. */
import { editDistance } from '../text/did-you-mean.ts'

/** All tags, those most like the wanted one first; equally like ones the newest-looking first. Pure. */
export function similarTags(wanted: string, tags: readonly string[]): readonly string[] {
  return [...tags]
    .map((tag) => ({ tag, far: distance(wanted, tag) }))
    .sort((one, other) => one.far - other.far || collator.compare(other.tag, one.tag))
    .map(({ tag }) => tag)
}

/** `1.10` is newer than `1.9`. */
const collator = new Intl.Collator('en', { numeric: true })

/** Of tags one of which begins with the other, only the added letters count, and those count half. */
function distance(wanted: string, tag: string): number {
  if (tag.startsWith(wanted) || wanted.startsWith(tag)) {
    return Math.abs(tag.length - wanted.length) / 2
  }
  return editDistance(wanted, tag)
}
