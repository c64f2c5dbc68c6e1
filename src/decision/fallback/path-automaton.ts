/** Reads repository paths character by character: which of them a glob matches, and which are legal. */

/** How far one path is read. */
export interface PathState {
  /** The token of the glob that comes next. */
  readonly position: number
  /** What the grammar allows next: `/` at the start of a component, `a` after a letter or digit, or else the separator so far. */
  readonly last: '/' | 'a' | '.' | '_' | '__' | '-'
  readonly hasSlash: boolean
}

export interface PathAutomaton {
  readonly start: readonly PathState[]
  /** Returns the states after one more character; empty if no legal path that the glob matches goes on with it. */
  next(state: PathState, character: string): readonly PathState[]
  isEnd(state: PathState): boolean
}

/**
 * `one`: a character. `any`: characters without `/`. `open` and `rest` together are `**`: the start of a segment, and what
 * follows its first character. `exits` of `open`: `**` may end before the segment; of `rest`: it may end after it.
 */
type Token =
  | { readonly kind: 'one'; readonly matches: (character: string) => boolean }
  | { readonly kind: 'any' }
  | { readonly kind: 'open' | 'rest'; readonly exits: boolean }

/** Returns the automaton of a glob for paths (`ImagePattern.path`). Every path has at least so many segments, one or two. */
export function createPathAutomaton(glob: string, minSegments: 1 | 2): PathAutomaton {
  const tokens = readTokens(glob)
  /** Returns the position, and those that can be reached without a character. */
  const withSkipped = (position: number): number[] => {
    const token = tokens[position]
    if (token === undefined || token.kind === 'one') return [position]
    if (token.kind === 'any') return [position, ...withSkipped(position + 1)]
    const end = position + (token.kind === 'open' ? 2 : 1)
    return token.exits ? [position, ...withSkipped(end)] : [position]
  }
  return {
    start: withSkipped(0).map((position) => ({ position, last: '/', hasSlash: false })),
    next: ({ position, last, hasSlash }, character) => {
      const token = tokens[position]
      const following = followedBy(last, character)
      if (token === undefined || following === null) return []
      const to = positionAfter(token, position, character)
      if (to === null) return []
      const isSlash = character === '/'
      return withSkipped(to).map((each) => ({
        position: each,
        last: following,
        hasSlash: hasSlash || isSlash,
      }))
    },
    isEnd: ({ position, last, hasSlash }) =>
      position === tokens.length && last === 'a' && (hasSlash || minSegments === 1),
  }
}

function positionAfter(token: Token, position: number, character: string): number | null {
  const isSlash = character === '/'
  if (token.kind === 'one') return token.matches(character) ? position + 1 : null
  if (token.kind === 'any') return isSlash ? null : position
  if (token.kind === 'open') return isSlash ? null : position + 1
  return isSlash ? position - 1 : position
}

/** The grammar of a path (distribution/reference; see `parse.ts`). Null: the character is not allowed here. */
function followedBy(last: PathState['last'], character: string): PathState['last'] | null {
  if (/[a-z0-9]/.test(character)) return 'a'
  if (character === '-' && (last === 'a' || last === '-')) return '-'
  if (character === '_' && last === '_') return '__'
  if (last !== 'a') return null
  return character === '/' || character === '.' || character === '_' ? character : null
}

function readTokens(glob: string): Token[] {
  const segments = glob.split('/')
  return segments.flatMap((segment, index): Token[] => {
    const isLast = index === segments.length - 1
    if (segment === '**')
      return [
        { kind: 'open', exits: !isLast },
        { kind: 'rest', exits: isLast },
      ]
    const parts = segment.match(/\[\^?[^\]]+\]|[^]/g) ?? []
    return [...parts.map(readToken), ...(isLast ? [] : [literal('/')])]
  })
}

function readToken(part: string): Token {
  if (part === '*') return { kind: 'any' }
  if (part === '?') return { kind: 'one', matches: (character) => character !== '/' }
  if (part.length === 1) return literal(part)
  const matches = readClass(part)
  return { kind: 'one', matches: (character) => character !== '/' && matches(character) }
}

function literal(text: string): Token {
  return { kind: 'one', matches: (character) => character === text }
}

/** A class with a range from high to low matches nothing. */
function readClass(text: string): (character: string) => boolean {
  try {
    const pattern = new RegExp(`^${text}$`)
    return (character) => pattern.test(character)
  } catch {
    return () => false
  }
}
