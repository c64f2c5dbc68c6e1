/**
 * Finds the first row that matches without looking at all of them: patterns are filed under their host and the literal
 * segments that their path begins with, so that a lookup walks down the segments of one name.
 */
import { type Reference, repositoryName } from '../reference/reference.ts'
import type { Pattern } from './glob.ts'

export interface RowIndex {
  /** The position of the first row that matches, or -1. `mirrorOnly`: patterns with a wildcard in the host do not count. */
  find(reference: Reference, mirrorOnly: boolean): number
}

interface Entry {
  readonly row: number
  readonly pattern: Pattern
}

interface Node {
  readonly children: Map<string, Node>
  /** Patterns whose first wildcard comes here, in the order of their rows. */
  readonly entries: Entry[]
}

/** Files every pattern of every row; the order of the rows is the order of the lists. */
export function indexRows(rows: readonly (readonly Pattern[])[]): RowIndex {
  const literals = new Map<string, number>()
  const hosts = new Map<string, Node>()
  const wildHosts: Entry[] = []
  const entries = rows.flatMap((patterns, row) => patterns.map((pattern) => ({ row, pattern })))
  for (const { row, pattern } of entries) {
    if (pattern.literal !== null)
      literals.set(pattern.literal, literals.get(pattern.literal) ?? row)
    else if (pattern.host === null) wildHosts.push({ row, pattern })
    else nodeFor(hosts, pattern.host, pattern.path).entries.push({ row, pattern })
  }
  return {
    find: (reference, mirrorOnly) => {
      let best = literals.get(repositoryName(reference)) ?? Infinity
      for (const node of nodesOn(hosts.get(reference.domain), reference.path)) {
        best = Math.min(best, firstMatch(node.entries, reference, best))
      }
      if (!mirrorOnly) best = Math.min(best, firstMatch(wildHosts, reference, best))
      return best === Infinity ? -1 : best
    },
  }
}

function nodeFor(hosts: Map<string, Node>, host: string, path: string): Node {
  let node = childOf(hosts, host)
  for (const segment of path.split('/')) {
    if (/[*?[\]]/.test(segment)) break
    node = childOf(node.children, segment)
  }
  return node
}

function childOf(children: Map<string, Node>, name: string): Node {
  const known = children.get(name)
  if (known !== undefined) return known
  const made: Node = { children: new Map(), entries: [] }
  children.set(name, made)
  return made
}

function* nodesOn(root: Node | undefined, path: string): Generator<Node> {
  let node = root
  for (const segment of path.split('/')) {
    if (node === undefined) return
    yield node
    node = node.children.get(segment)
  }
  if (node !== undefined) yield node
}

/** The first row of the list that matches and comes before `before`. */
function firstMatch(entries: readonly Entry[], reference: Reference, before: number): number {
  for (const { row, pattern } of entries) {
    if (row >= before) return Infinity
    if (pattern.matches(reference)) return row
  }
  return Infinity
}
