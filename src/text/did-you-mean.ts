/** Suggests the known word that a mistyped word most likely means. */

/** Returns the known word that is at most two edits away, or one for a word of three letters; null if there is none. */
export function closestWord(word: string, known: readonly string[]): string | null {
  const maxEdits = word.length < 4 ? 1 : 2
  const [closest] = known
    .filter((each) => Math.abs(each.length - word.length) <= maxEdits)
    .map((each) => ({ each, edits: editDistance(word.toLowerCase(), each.toLowerCase()) }))
    .filter(({ edits }) => edits <= maxEdits)
    .sort((one, other) => one.edits - other.edits)
  return closest?.each ?? null
}

/** Returns the number of insertions, deletions and replacements between two texts (Levenshtein 1965). */
export function editDistance(one: string, other: string): number {
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
