/** Searches all the images of two patterns for two that a template gives the same name. */
import { hasWildcard } from './glob.ts'
import { createPathAutomaton, type PathAutomaton, type PathState } from './path-automaton.ts'

/** The images of one registry that a pattern matches. */
export interface PathSet {
  readonly host: string
  readonly glob: string
  readonly minSegments: 1 | 2
}

/** The variables of a template that contain parts of the path. */
type PathVariables = Pick<ReadonlySet<'path' | 'name' | 'rest' | 'flat'>, 'has'>

/**
 * A limit on the work of several searches. A search takes a step for each character of its globs. For each pair of states
 * that it visits, it takes one for each character that it tries on both sides, and one for each pair of characters with
 * which it goes on.
 */
export interface SearchBudget {
  steps: number
}

/** Two paths with the same name; null if there are none; `unknown` if the budget is too small. */
export type SharedName = readonly [one: string, other: string] | null | 'unknown'

/**
 * Both paths are read together. While both are free, the template drops what is read; otherwise both go on with the same
 * character, or with `/` and `-` for `{flat}`.
 */
interface PairState {
  readonly one: PathState
  readonly other: PathState
  /** Whether the template drops what comes next. */
  readonly freeOne: boolean
  readonly freeOther: boolean
  /** Whether the images differ so far. */
  readonly differ: boolean
  /** False while the last segments begin at different places. */
  readonly sameStart: boolean
}

/** A pair of states, how it was reached, and the last characters of both paths. */
interface Visit {
  readonly state: PairState
  readonly from: Visit | null
  readonly read: readonly [string, string]
}

type Move = Omit<Visit, 'from'>

interface Search {
  readonly one: PathAutomaton
  readonly other: PathAutomaton
  /** What the template drops of a path: nothing, the first segment, all but the last one, or all. */
  readonly drops: 'nothing' | 'first' | 'prefix' | 'all'
  /** Whether the template writes `-` for `/`. */
  readonly isFlat: boolean
  /** Whether the last segment is kept as it is. */
  readonly keepsName: boolean
  readonly alphabet: readonly string[]
}

/**
 * Returns paths of two different images that get the same name from a template with these variables. The template must give
 * both hosts the same text (`withHost`).
 */
export function findSharedName(
  variables: PathVariables,
  [one, other]: readonly [PathSet, PathSet],
  budget: SearchBudget,
): SharedName {
  const isSameHost = one.host === other.host
  const keepsPath = variables.has('path') || (variables.has('rest') && variables.has('flat'))
  if (isSameHost && (keepsPath || isEasilyDistinct(variables, one.glob, other.glob))) return null
  budget.steps -= one.glob.length + other.glob.length
  // A path of one segment has no {rest}, and so gets no name.
  const minSegments = ({ minSegments: own }: PathSet) => (variables.has('rest') ? 2 : own)
  const search: Search = {
    one: createPathAutomaton(one.glob, minSegments(one)),
    other: createPathAutomaton(other.glob, minSegments(other)),
    drops: keepsPath ? 'nothing' : droppedBy(variables),
    isFlat: !keepsPath && variables.has('flat'),
    keepsName: variables.has('name'),
    alphabet: alphabetOf(one.glob + other.glob),
  }
  return runSearch(search, !isSameHost, budget)
}

/**
 * Returns true for the usual patterns, such as `acme/*`, without a search: both globs have the same text, without a
 * wildcard, where the template drops something.
 */
function isEasilyDistinct(variables: PathVariables, one: string, other: string): boolean {
  if (variables.has('rest')) {
    const [first = ''] = one.split('/', 1)
    return !hasWildcard(first) && other.startsWith(`${first}/`)
  }
  if (!variables.has('name') && !variables.has('flat')) return false
  const prefix = one.slice(0, one.lastIndexOf('/') + 1)
  const isSamePrefix = other.lastIndexOf('/') + 1 === prefix.length && other.startsWith(prefix)
  return isSamePrefix && !hasWildcard(prefix) && !`${one} ${other}`.includes('**')
}

function droppedBy(variables: PathVariables): Search['drops'] {
  if (variables.has('rest')) return 'first'
  if (variables.has('flat')) return 'nothing'
  return variables.has('name') ? 'prefix' : 'all'
}

/** Every character that the globs name, two others that stand for the rest, and the separators. */
function alphabetOf(globs: string): readonly string[] {
  const letters = [...'abcdefghijklmnopqrstuvwxyz0123456789']
  const separators = ['-', '/', '.', '_']
  if (globs.includes('[')) return [...letters, ...separators]
  const named = letters.filter((letter) => globs.includes(letter))
  const others = letters.filter((letter) => !globs.includes(letter)).slice(0, 2)
  return [...others, ...named, ...separators]
}

function runSearch(search: Search, differ: boolean, budget: SearchBudget): SharedName {
  const isFree = search.drops !== 'nothing'
  const queue: Visit[] = search.one.start.flatMap((one) =>
    search.other.start.map((other) => ({
      state: { one, other, freeOne: isFree, freeOther: isFree, differ, sameStart: true },
      from: null,
      read: unread,
    })),
  )
  const seen = new Set(queue.map(({ state }) => keyOf(state)))
  // The queue grows while it is read.
  for (const visit of queue) {
    if (isShared(search, visit.state)) return pathsOf(visit)
    if (budget.steps <= 0) return 'unknown'
    const moves = movesFrom(search, visit.state)
    budget.steps -= 2 * search.alphabet.length + moves.length
    for (const move of moves) {
      const key = keyOf(move.state)
      if (seen.has(key)) continue
      seen.add(key)
      queue.push({ ...move, from: visit })
    }
  }
  return null
}

const unread = ['', ''] as const

function keyOf({ one, other, freeOne, freeOther, differ, sameStart }: PairState): string {
  const sides = [one, other].map((each) => `${each.position} ${each.last} ${each.hasSlash}`)
  return `${sides.join(' ')} ${freeOne} ${freeOther} ${differ} ${sameStart}`
}

function pathsOf(last: Visit): readonly [string, string] {
  let [one, other] = ['', '']
  for (let visit: Visit | null = last; visit !== null; visit = visit.from) {
    one = visit.read[0] + one
    other = visit.read[1] + other
  }
  return [one, other]
}

function isShared({ one, other, drops }: Search, state: PairState): boolean {
  const isRead = drops === 'all' || (!state.freeOne && !state.freeOther)
  const isEnd = one.isEnd(state.one) && other.isEnd(state.other)
  return isRead && isEnd && state.differ && state.sameStart
}

function movesFrom(search: Search, state: PairState): Move[] {
  const { freeOne, freeOther, differ } = state
  const moves = closings(search, state)
  if (freeOne && freeOther && !differ) return [...moves, ...moveBothFree(search, state)]
  if (freeOne) moves.push(...moveOne(search, state))
  if (freeOther) moves.push(...moveOther(search, state))
  const isTogether = !freeOne && !freeOther && search.drops !== 'all'
  return isTogether ? moveTogether(search, state) : moves
}

/** Ends the dropped part of a path: before any segment for `{name}`, at the end if all is dropped. */
function closings({ one, other, drops }: Search, state: PairState): Move[] {
  if (drops !== 'prefix' && drops !== 'all') return []
  const canEnd = (automaton: PathAutomaton, path: PathState) =>
    drops === 'all' ? automaton.isEnd(path) : path.last === '/'
  const moves: Move[] = []
  if (state.freeOne && canEnd(one, state.one))
    moves.push({ state: { ...state, freeOne: false }, read: unread })
  if (state.freeOther && canEnd(other, state.other))
    moves.push({ state: { ...state, freeOther: false }, read: unread })
  return moves
}

/** Moves two paths that are equal so far. */
function moveBothFree(search: Search, state: PairState): Move[] {
  const seconds = readAll(search, search.other, state.other)
  return readAll(search, search.one, state.one).flatMap((first) =>
    seconds.map((second) => ({
      state: {
        ...state,
        one: first.state,
        other: second.state,
        freeOne: staysFree(search, first.character),
        freeOther: staysFree(search, second.character),
        differ: first.character !== second.character,
      },
      read: [first.character, second.character] as const,
    })),
  )
}

/** Moves one path alone, which makes them differ: the dropped part of the other one has ended, or they differ already. */
function moveOne(search: Search, state: PairState): Move[] {
  return readAll(search, search.one, state.one).map(({ character, state: one }) => ({
    state: { ...state, one, freeOne: staysFree(search, character), differ: true },
    read: [character, ''] as const,
  }))
}

function moveOther(search: Search, state: PairState): Move[] {
  return readAll(search, search.other, state.other).map(({ character, state: other }) => ({
    state: { ...state, other, freeOther: staysFree(search, character), differ: true },
    read: ['', character] as const,
  }))
}

/** Moves both paths by what the template keeps. */
function moveTogether(search: Search, state: PairState): Move[] {
  const { drops, isFlat, keepsName } = search
  const seconds = readAll(search, search.other, state.other)
  return readAll(search, search.one, state.one).flatMap((first) => {
    if (drops === 'prefix' && first.character === '/') return []
    const kept = isFlat && first.character === '/' ? '-' : first.character
    return seconds
      .filter(({ character }) => (isFlat && character === '/' ? '-' : character) === kept)
      .map((second) => {
        const isSame = first.character === second.character
        const isSlash = first.character === '/' || second.character === '/'
        return {
          state: {
            ...state,
            one: first.state,
            other: second.state,
            differ: state.differ || !isSame,
            sameStart: keepsName && isSlash ? isSame : state.sameStart,
          },
          read: [first.character, second.character] as const,
        }
      })
  })
}

interface ReadCharacter {
  readonly character: string
  readonly state: PathState
}

function readAll({ alphabet }: Search, automaton: PathAutomaton, path: PathState): ReadCharacter[] {
  return alphabet.flatMap((character) =>
    automaton.next(path, character).map((state) => ({ character, state })),
  )
}

/** The first segment ends with its `/`. */
function staysFree({ drops }: Search, character: string): boolean {
  return drops !== 'first' || character !== '/'
}
