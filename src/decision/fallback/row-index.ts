/**
 * Finds the first row that matches without looking at all of them: patterns are filed segment by segment, a wildcard
 * within a segment as one branch beside the literal ones, and behind a `**` by their last segment. A lookup walks down
 * the segments of one name; only patterns that end in the same place with a wildcard are looked at one by one.
 */
import { type Reference, repositoryName } from '../reference/reference.ts'
import type { ImagePattern } from './image-pattern.ts'

export interface RowIndex {
  /** The position of the first row that matches, or -1. `mirrorOnly`: patterns with a wildcard in the host do not count. */
  find(reference: Reference, mirrorOnly: boolean): number
}

interface Entry {
  readonly row: number
  readonly pattern: ImagePattern
}

/** Every list is in the order of the rows. */
interface Node {
  readonly children: Map<string, Node>
  /** Where a segment with a wildcard in it leads. */
  wild: Node | null
  /** Patterns that end here. */
  readonly ends: Entry[]
  /** Patterns that go on with `**`, by their last segment where it is literal. */
  readonly tails: Map<string, Entry[]>
  /** Patterns that go on with `**`, and end with a wildcard. */
  readonly open: Entry[]
}

/** Files every pattern of every row. */
export function indexRows(rows: readonly (readonly ImagePattern[])[]): RowIndex {
  const literals = new Map<string, number>()
  const hosts = new Map<string, Node>()
  /** Patterns with a wildcard in the host, which is then a segment like the others. */
  const anyHost = makeNode()
  const entries = rows.flatMap((patterns, row) => patterns.map((pattern) => ({ row, pattern })))
  for (const entry of entries) {
    const { literal, host, path } = entry.pattern
    if (literal !== null) literals.set(literal, literals.get(literal) ?? entry.row)
    else file(host === null ? anyHost : childOf(hosts, host), path.split('/'), entry)
  }
  return {
    find: (reference, mirrorOnly) => {
      const first = literals.get(repositoryName(reference)) ?? Infinity
      const segments = reference.path.split('/')
      const own = firstBelow(hosts.get(reference.domain), segments, { reference, before: first })
      const best = mirrorOnly
        ? own
        : firstBelow(anyHost, [reference.domain, ...segments], { reference, before: own })
      return best === Infinity ? -1 : best
    },
  }
}

function file(root: Node, segments: readonly string[], entry: Entry): void {
  let node = root
  for (const segment of segments) {
    if (segment === '**') {
      listFor(node, segments.at(-1) ?? '').push(entry)
      return
    }
    node = isWild(segment) ? (node.wild ??= makeNode()) : childOf(node.children, segment)
  }
  node.ends.push(entry)
}

function listFor({ tails, open }: Node, last: string): Entry[] {
  if (isWild(last)) return open
  const known = tails.get(last)
  if (known !== undefined) return known
  const made: Entry[] = []
  tails.set(last, made)
  return made
}

interface Search {
  readonly reference: Reference
  /** Rows from here on do not count. */
  readonly before: number
}

/** The first row below a node that matches, or `before`. */
function firstBelow(
  root: Node | undefined,
  segments: readonly string[],
  { reference, before }: Search,
): number {
  if (root === undefined) return before
  const last = segments.at(-1) ?? ''
  let best = before
  let nodes: readonly Node[] = [root]
  for (let depth = 0; nodes.length > 0; depth++) {
    const next: Node[] = []
    for (const node of nodes) {
      best = firstMatch(node.open, reference, best)
      best = firstMatch(node.tails.get(last) ?? [], reference, best)
      const segment = segments[depth]
      if (segment === undefined) {
        best = firstMatch(node.ends, reference, best)
        continue
      }
      const child = node.children.get(segment)
      if (child !== undefined) next.push(child)
      if (node.wild !== null) next.push(node.wild)
    }
    nodes = next
  }
  return best
}

/** The first row of the list that matches and comes before `before`; else `before`. */
function firstMatch(entries: readonly Entry[], reference: Reference, before: number): number {
  for (const { row, pattern } of entries) {
    if (row >= before) return before
    if (pattern.matches(reference)) return row
  }
  return before
}

function isWild(segment: string): boolean {
  return /[*?[\]]/.test(segment)
}

function childOf(children: Map<string, Node>, name: string): Node {
  const known = children.get(name)
  if (known !== undefined) return known
  const made = makeNode()
  children.set(name, made)
  return made
}

function makeNode(): Node {
  return { children: new Map(), wild: null, ends: [], tails: new Map(), open: [] }
}
