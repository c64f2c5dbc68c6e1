/**
 * Shell patterns over one label of a host name, with the meaning of Go's path.Match, which the kubelet uses
 * (k8s.io/kubernetes, pkg/credentialprovider/keyring.go, URLsMatch): `*`, `?`, `[a-z]`, `[^a-z]` and `\`.
 */

type Part = 'star' | ((character: string) => boolean)

/** True when the whole label matches. A pattern that is malformed matches nothing, as in the kubelet. */
export function matchesLabel(pattern: string, label: string): boolean {
  const parts = compile([...pattern])
  return parts !== null && run(parts, [...label])
}

/** Goes back to the last star only, which is enough: length of pattern times length of label at the worst. */
function run(parts: readonly Part[], characters: readonly string[]): boolean {
  let part = 0
  let at = 0
  let star: { part: number; at: number } | null = null
  while (at < characters.length) {
    const wanted = parts[part]
    if (wanted === 'star') {
      star = { part: ++part, at }
    } else if (wanted !== undefined && wanted(characters[at] ?? '')) {
      part++
      at++
    } else if (star !== null) {
      part = star.part
      at = ++star.at
    } else {
      return false
    }
  }
  return parts.slice(part).every((rest) => rest === 'star')
}

function compile(pattern: readonly string[]): Part[] | null {
  const parts: Part[] = []
  let at = 0
  while (at < pattern.length) {
    const character = pattern[at] ?? ''
    if (character === '[') {
      const found = readClass(pattern, at + 1)
      if (found === null) return null
      parts.push(found.accepts)
      at = found.end
      continue
    }
    const literal = character === '\\' ? pattern[++at] : character
    if (literal === undefined) return null
    parts.push(character === '*' ? 'star' : (one) => character === '?' || one === literal)
    at++
  }
  return parts
}

interface CharacterClass {
  readonly accepts: (character: string) => boolean
  /** Index after the closing bracket. */
  readonly end: number
}

/** At least one range; `]` closes, unless it is escaped. */
function readClass(pattern: readonly string[], start: number): CharacterClass | null {
  const isNegated = pattern[start] === '^'
  const ranges: (readonly [string, string])[] = []
  let at = isNegated ? start + 1 : start
  while (pattern[at] !== ']' || ranges.length === 0) {
    const low = readMember(pattern, at)
    if (low === null) return null
    at = low.end
    let high = low
    if (pattern[at] === '-') {
      const upper = readMember(pattern, at + 1)
      if (upper === null) return null
      high = upper
      at = upper.end
    }
    ranges.push([low.character, high.character])
  }
  return {
    accepts: (one) => ranges.some(([low, high]) => low <= one && one <= high) !== isNegated,
    end: at + 1,
  }
}

/** Go's getEsc: neither `-` nor `]` may stand for itself, and the class may not end here. */
function readMember(
  pattern: readonly string[],
  at: number,
): { readonly character: string; readonly end: number } | null {
  const first = pattern[at]
  if (first === undefined || first === '-' || first === ']') return null
  const end = first === '\\' ? at + 1 : at
  const character = pattern[end]
  if (character === undefined || end + 1 >= pattern.length) return null
  return { character, end: end + 1 }
}
