/**
 * An index that finds the first matching row without testing all rows. Patterns are stored in a tree by path segment: a
 * literal segment is one branch, a segment with a wildcard another. A pattern that continues with `**` is stored where the
 * `**` begins, by its last segment. A lookup follows the segments of one image and tests only the patterns that it meets.
 */
import { type Reference, repositoryName } from '../reference/reference.ts'
import { hasWildcard } from './glob.ts'
import type { ImagePattern } from './image-pattern.ts'

export interface RowIndex {
  /**
   * Returns the position of the first row that matches a canonical reference, or -1. With `literalHostOnly`, patterns with
   * a wildcard in the host do not match.
   */
  find(reference: Reference, literalHostOnly: boolean): number
}

interface IndexedPattern {
  readonly row: number
  readonly pattern: ImagePattern
}

/** A node of the tree. Each list is in the order of the rows. */
interface TreeNode {
  readonly children: Map<string, TreeNode>
  /** The child for a segment with a wildcard. */
  wildcardChild: TreeNode | null
  /** Patterns that end here. */
  readonly ending: IndexedPattern[]
  /** Patterns that continue with `**` and end with a literal segment, by that segment. */
  readonly globstarByLastSegment: Map<string, IndexedPattern[]>
  /** Patterns that continue with `**` and end with a wildcard. */
  readonly globstar: IndexedPattern[]
}

/** Returns the index of rows, each given as its patterns. */
export function createRowIndex(rows: readonly (readonly ImagePattern[])[]): RowIndex {
  const rowByRepository = new Map<string, number>()
  const treeByHost = new Map<string, TreeNode>()
  /** Patterns with a wildcard in the host. The host is their first segment. */
  const wildcardHosts = createNode()
  for (const [row, patterns] of rows.entries()) {
    for (const pattern of patterns) {
      const { literal, host, path } = pattern
      if (literal !== null) rowByRepository.set(literal, rowByRepository.get(literal) ?? row)
      else
        insert(host === null ? wildcardHosts : childOf(treeByHost, host), path.split('/'), {
          row,
          pattern,
        })
    }
  }
  return {
    find: (reference, literalHostOnly) => {
      const segments = reference.path.split('/')
      let first = rowByRepository.get(repositoryName(reference)) ?? Infinity
      const tree = treeByHost.get(reference.domain)
      if (tree !== undefined) first = findInTree(tree, segments, { reference, before: first })
      if (!literalHostOnly)
        first = findInTree(wildcardHosts, [reference.domain, ...segments], {
          reference,
          before: first,
        })
      return first === Infinity ? -1 : first
    },
  }
}

function insert(root: TreeNode, segments: readonly string[], entry: IndexedPattern): void {
  let node = root
  for (const segment of segments) {
    if (segment === '**') {
      globstarList(node, segments.at(-1) ?? '').push(entry)
      return
    }
    node = hasWildcard(segment)
      ? (node.wildcardChild ??= createNode())
      : childOf(node.children, segment)
  }
  node.ending.push(entry)
}

function globstarList(node: TreeNode, lastSegment: string): IndexedPattern[] {
  if (hasWildcard(lastSegment)) return node.globstar
  const known = node.globstarByLastSegment.get(lastSegment)
  if (known !== undefined) return known
  const created: IndexedPattern[] = []
  node.globstarByLastSegment.set(lastSegment, created)
  return created
}

interface RowSearch {
  readonly reference: Reference
  /** The best row so far. Only an earlier row is a better match. */
  readonly before: number
}

/** Returns the first row below a node that matches, or `before`. */
function findInTree(
  root: TreeNode,
  segments: readonly string[],
  { reference, before }: RowSearch,
): number {
  const lastSegment = segments.at(-1) ?? ''
  let best = before
  let nodes: readonly TreeNode[] = [root]
  for (let depth = 0; nodes.length > 0; depth++) {
    const next: TreeNode[] = []
    for (const node of nodes) {
      best = firstMatch(node.globstar, reference, best)
      best = firstMatch(node.globstarByLastSegment.get(lastSegment) ?? [], reference, best)
      const segment = segments[depth]
      if (segment === undefined) {
        best = firstMatch(node.ending, reference, best)
        continue
      }
      const child = node.children.get(segment)
      if (child !== undefined) next.push(child)
      if (node.wildcardChild !== null) next.push(node.wildcardChild)
    }
    nodes = next
  }
  return best
}

/** Returns the first row of the list that matches, or `before`. */
function firstMatch(
  entries: readonly IndexedPattern[],
  reference: Reference,
  before: number,
): number {
  for (const { row, pattern } of entries) {
    if (row >= before) return before
    if (pattern.matches(reference)) return row
  }
  return before
}

function childOf(children: Map<string, TreeNode>, segment: string): TreeNode {
  const known = children.get(segment)
  if (known !== undefined) return known
  const created = createNode()
  children.set(segment, created)
  return created
}

function createNode(): TreeNode {
  return {
    children: new Map(),
    wildcardChild: null,
    ending: [],
    globstarByLastSegment: new Map(),
    globstar: [],
  }
}
