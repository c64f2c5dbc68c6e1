/** Tags that somebody may have meant. */

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
  return levenshtein(wanted, tag)
}

/** Insertions, deletions and replacements from one text to the other (Levenshtein 1965), in one row of memory. */
function levenshtein(one: string, other: string): number {
  const row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i++) {
    let diagonal = row[0] ?? 0
    row[0] = i
    for (let j = 1; j <= other.length; j++) {
      const above = row[j] ?? 0
      const replaced = diagonal + (one[i - 1] === other[j - 1] ? 0 : 1)
      row[j] = Math.min(above + 1, (row[j - 1] ?? 0) + 1, replaced)
      diagonal = above
    }
  }
  return row[other.length] ?? 0
}
