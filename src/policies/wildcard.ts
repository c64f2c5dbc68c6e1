/** The globs of policy engines over whole image names. Every engine has its own syntax. Pure. */

/**
 * `kyverno`: `*` matches any characters, also `/`, and `?` one (IGLOU-EU/go-wildcard v1). `gobwas`: also `[a-z]`, `[!a]`,
 * `{a,b}` and `\` (gobwas/glob without separators). `sigstore`: `*` stops at `/`, and `**` does not (policy-controller,
 * pkg/apis/glob).
 */
export type WildcardSyntax = 'kyverno' | 'gobwas' | 'sigstore'

export interface WildcardToken {
  /** As the glob writes it. */
  readonly text: string
  /** The only character that it matches; null for a wildcard. */
  readonly literal: string | null
  accepts(character: string): boolean
  /** True if it matches any number of characters, also none. */
  readonly repeats: boolean
}

/** A glob without alternatives. */
export type Wildcard = readonly WildcardToken[]

export type CompiledWildcard =
  | { readonly ok: true; readonly alternatives: readonly Wildcard[] }
  | { readonly ok: false; readonly message: string }

/** An image name has at most 255 characters and a tag or a digest. */
const maxGlobLength = 512

/** Globs into which braces such as `{a,b}{c,d}` expand. */
const maxAlternatives = 64

/** Compiles a glob, or returns why the engine does not accept it. */
export function compileWildcard(glob: string, syntax: WildcardSyntax): CompiledWildcard {
  if (glob.length > maxGlobLength)
    return { ok: false, message: `it has more than ${maxGlobLength} characters` }
  if (syntax === 'kyverno') return single([...glob].map(kyvernoToken))
  if (syntax === 'sigstore') return compileSigstore(glob)
  return compileGobwas(glob)
}

/** Returns true if the glob matches the whole text. */
export function matchesWildcard(wildcard: Wildcard, text: string): boolean {
  let states = startStates(wildcard)
  for (const character of text) {
    states = step(wildcard, states, character)
    if (states.size === 0) return false
  }
  return states.has(wildcard.length)
}

/** Returns the globs of what may come after the prefix; none if no match of the glob begins with it. */
export function stripPrefix(wildcard: Wildcard, prefix: string): readonly Wildcard[] {
  let states = startStates(wildcard)
  for (const character of prefix) states = step(wildcard, states, character)
  // What comes after a repeating token also matches from that token.
  const isCovered = (state: number) =>
    states.has(state - 1) && wildcard[state - 1]?.repeats === true
  return [...states].filter((state) => !isCovered(state)).map((state) => wildcard.slice(state))
}

export function wildcardText(wildcard: Wildcard): string {
  return wildcard.map(({ text }) => text).join('')
}

/** Returns the characters before the first wildcard. */
export function literalPrefix(wildcard: Wildcard): string {
  const end = wildcard.findIndex(({ literal }) => literal === null)
  return wildcardText(end < 0 ? wildcard : wildcard.slice(0, end))
}

/** Bounds the search for common texts. */
export interface WildcardBudget {
  steps: number
}

/**
 * Returns a shortest text that both globs match, and that is well-formed as an image: no part of it is empty. Null if there
 * is none, or no budget. Wildcards become the filler.
 */
export function findCommonText(
  one: Wildcard,
  other: Wildcard,
  { filler, budget }: { readonly filler: string; readonly budget: WildcardBudget },
): string | null {
  const queue: Visit[] = [{ first: 0, second: 0, read: '', from: null }]
  const seen = new Set<number>()
  // The queue grows while it is read.
  for (const visit of queue) {
    const { first, second, read } = visit
    const key = (first * (other.length + 1) + second) * 2 + Number(isSeparator(read))
    if (seen.has(key)) continue
    seen.add(key)
    if (first === one.length && second === other.length && !isSeparator(read)) return textOf(visit)
    if (budget.steps-- <= 0) return null
    const [left, right] = [one[first], other[second]]
    if (left?.repeats === true) queue.push({ ...visit, first: first + 1 })
    if (right?.repeats === true) queue.push({ ...visit, second: second + 1 })
    if (left === undefined || right === undefined) continue
    const character = commonCharacter(left, right, { filler, isAfterSeparator: isSeparator(read) })
    if (character === null) continue
    queue.push({
      first: first + (left.repeats ? 0 : 1),
      second: second + (right.repeats ? 0 : 1),
      read: character,
      from: visit,
    })
  }
  return null
}

/** The positions in both globs, and how they were reached. */
interface Visit {
  readonly first: number
  readonly second: number
  /** The last character; empty at the start. */
  readonly read: string
  readonly from: Visit | null
}

function textOf(last: Visit): string {
  const read: string[] = []
  for (let visit: Visit | null = last; visit !== null; visit = visit.from) read.push(visit.read)
  return read.toReversed().join('')
}

/** True also at the start. */
function isSeparator(character: string): boolean {
  return character === '' || /[/:@._-]/.test(character)
}

function commonCharacter(
  one: WildcardToken,
  other: WildcardToken,
  { filler, isAfterSeparator }: { readonly filler: string; readonly isAfterSeparator: boolean },
): string | null {
  const literal = one.literal ?? other.literal
  const candidates = literal === null ? [filler, '/', ...'aq09'] : [literal]
  const found = candidates.find((character) => one.accepts(character) && other.accepts(character))
  if (found === undefined || (isAfterSeparator && /[/:@.]/.test(found))) return null
  return found
}

function startStates(wildcard: Wildcard): ReadonlySet<number> {
  return closure(wildcard, new Set([0]))
}

function step(wildcard: Wildcard, states: ReadonlySet<number>, character: string): Set<number> {
  const next = new Set<number>()
  for (const state of states) {
    const token = wildcard[state]
    if (token?.accepts(character) === true) next.add(token.repeats ? state : state + 1)
  }
  return closure(wildcard, next)
}

/** Adds what is reached without a character. The set grows while it is read. */
function closure(wildcard: Wildcard, states: Set<number>): Set<number> {
  for (const state of states) if (wildcard[state]?.repeats === true) states.add(state + 1)
  return states
}

/** A token for one given character. */
export function literalToken(character: string, text = character): WildcardToken {
  return { text, literal: character, accepts: (each) => each === character, repeats: false }
}

/** A token for any character that the test accepts. */
export function wildcardToken(
  text: string,
  accepts: (character: string) => boolean,
  repeats: boolean,
): WildcardToken {
  return { text, literal: null, accepts, repeats }
}

const anyCharacter = () => true
const notSlash = (character: string) => character !== '/'

function single(wildcard: Wildcard): CompiledWildcard {
  return { ok: true, alternatives: [wildcard] }
}

function kyvernoToken(character: string): WildcardToken {
  if (character === '*') return wildcardToken('*', anyCharacter, true)
  if (character === '?') return wildcardToken('?', anyCharacter, false)
  return literalToken(character)
}

/** The short forms that policy-controller completes (glob.go, Compile). */
const sigstoreShortForms: Readonly<Record<string, string>> = {
  '*': 'index.docker.io/library/*',
  '*/*': 'index.docker.io/*/*',
}

function compileSigstore(written: string): CompiledWildcard {
  const glob = sigstoreShortForms[written] ?? written
  if (!/^[a-zA-Z0-9_:/*.@-]+$/.test(glob))
    return { ok: false, message: 'policy-controller does not accept its characters' }
  return single(
    (glob.match(/\*\*|./g) ?? []).map((part) => {
      if (part === '**') return wildcardToken(part, anyCharacter, true)
      return part === '*' ? wildcardToken(part, notSlash, true) : literalToken(part)
    }),
  )
}

function compileGobwas(glob: string): CompiledWildcard {
  try {
    return { ok: true, alternatives: parseGobwas(glob, 0, 0).alternatives }
  } catch (error) {
    if (!(error instanceof GlobError)) throw error
    return { ok: false, message: error.message }
  }
}

/** The glob is invalid, or over a limit. */
class GlobError extends Error {}

interface ParsedGobwas {
  readonly alternatives: Wildcard[]
  /** The offset of the `}` that ends the alternatives, or of the end. */
  readonly end: number
}

function parseGobwas(glob: string, start: number, depth: number): ParsedGobwas {
  if (depth > 8) throw new GlobError('its braces nest more than 8 deep')
  const finished: Wildcard[] = []
  let open: Wildcard[] = [[]]
  let offset = start
  while (offset < glob.length) {
    const character = glob[offset] ?? ''
    if (character === '}' && depth > 0) break
    if (character === ',' && depth > 0) {
      finished.push(...open)
      open = [[]]
      offset += 1
    } else if (character === '{') {
      const inner = parseGobwas(glob, offset + 1, depth + 1)
      if (glob[inner.end] !== '}') throw new GlobError('it has a `{` without a `}`')
      // gobwas/glob 0.2.3 misses matches of such globs, for example of `{a/b,*}{a/b,*}a*`.
      if (inner.alternatives.flat().some(({ repeats }) => repeats))
        throw new GlobError('the glob library of Kyverno does not reliably match `*` in braces')
      open = open.flatMap((before) => inner.alternatives.map((each) => [...before, ...each]))
      offset = inner.end + 1
    } else {
      const { token, end } = gobwasToken(glob, offset)
      open = open.map((before) => [...before, token])
      offset = end
    }
    if (finished.length + open.length > maxAlternatives)
      throw new GlobError(`it has more than ${maxAlternatives} alternatives`)
  }
  return { alternatives: [...finished, ...open], end: offset }
}

function gobwasToken(
  glob: string,
  offset: number,
): { readonly token: WildcardToken; readonly end: number } {
  const character = glob[offset] ?? ''
  if (character === '*') {
    const end = glob[offset + 1] === '*' ? offset + 2 : offset + 1
    return { token: wildcardToken('*', anyCharacter, true), end }
  }
  if (character === '?') return { token: wildcardToken('?', anyCharacter, false), end: offset + 1 }
  if (character === '[') return classToken(glob, offset)
  if (character !== '\\') return { token: literalToken(character), end: offset + 1 }
  const escaped = glob[offset + 1]
  if (escaped === undefined) throw new GlobError('it ends with `\\`')
  return { token: literalToken(escaped, `\\${escaped}`), end: offset + 2 }
}

/** `[abc]`, `[a-z]`, `[!abc]` or `[!a-z]`. */
const classPattern = /\[(!?)(?:(.)-(.)|([^\]\\[{}!-]+))\]/y

function classToken(
  glob: string,
  offset: number,
): { readonly token: WildcardToken; readonly end: number } {
  classPattern.lastIndex = offset
  const match = classPattern.exec(glob)
  if (match === null) throw new GlobError('Berth cannot read its `[…]`')
  const [text, not, low, high, list = ''] = match
  const isListed = (character: string) =>
    low === undefined || high === undefined
      ? list.includes(character)
      : character >= low && character <= high
  const accepts = (character: string) => isListed(character) !== (not === '!')
  return { token: wildcardToken(text, accepts, false), end: offset + text.length }
}
