/**
 * An index that finds the first matching row without testing all rows. Patterns are stored in a tree by path segment: a
 * literal segment is one branch, and so are the segments with wildcards that begin and end with the same text. A pattern that
 * continues with `**` is stored where the `**` begins, by its last segment. A lookup follows the segments of one image and
 * tests only the patterns that it meets.
 */
import { type Reference, repositoryName } from '../reference/reference.ts'
import type { ImagePattern } from './image-pattern.ts'
import { canonicalHost } from './registry-aliases.ts'
import { createSegmentMap, type SegmentMap } from './segment-map.ts'

export interface RowIndex {
  /**
   * Returns the position of the first row before `before` that matches a canonical reference, or `before`. With
   * `literalHostOnly`, patterns with a wildcard in the host match only for rows that leave their images unchanged.
   */
  find(reference: Reference, literalHostOnly: boolean, before?: number): number
}

/** A row, as the index needs it. */
export interface IndexedRow {
  /** The position of the row in its table. */
  readonly position: number
  readonly images: readonly ImagePattern[]
  readonly leave: boolean
}

interface IndexedPattern {
  readonly row: number
  readonly pattern: ImagePattern
}

/** A node of the tree. Each list is in the order of the rows. */
interface TreeNode {
  readonly children: SegmentMap<TreeNode>
  /** Patterns that end here. */
  readonly ending: IndexedPattern[]
  /** Patterns that continue with `**`, by their last segment. */
  globstar: SegmentMap<IndexedPattern[]> | null
}

/** Rows with few patterns are not worth a tree. */
const maxListed = 8

/** Returns the index of rows, which are in the order of their positions. */
export function createRowIndex(rows: readonly IndexedRow[]): RowIndex {
  const patterns = rows.reduce((sum, { images }) => sum + images.length, 0)
  return patterns > maxListed ? createTree(rows) : createList(rows)
}

function createList(rows: readonly IndexedRow[]): RowIndex {
  return {
    find: (reference, literalHostOnly, before = Infinity) => {
      for (const row of rows) {
        if (row.position >= before) return before
        if (rowMatches(row, reference, literalHostOnly)) return row.position
      }
      return before
    },
  }
}

/** Returns true if a row matches a canonical reference. For `literalHostOnly` see `RowIndex`. */
export function rowMatches(
  { images, leave }: IndexedRow,
  reference: Reference,
  literalHostOnly: boolean,
): boolean {
  return images.some(
    (pattern) => (pattern.host !== null || leave || !literalHostOnly) && pattern.matches(reference),
  )
}

function createTree(rows: readonly IndexedRow[]): RowIndex {
  const rowByRepository = new Map<string, number>()
  const treeByHost = new Map<string, TreeNode>()
  /** Patterns with a wildcard in the host, of rows that leave their images unchanged, and of others. The host is their first segment. */
  const wildcardHosts = { leave: createNode(), other: createNode() }
  for (const { position, images, leave } of rows) {
    for (const pattern of images) {
      const { literal, canonicalHost: host, path } = pattern
      const name = host === null ? null : `${host}/${path}`
      if (name !== null && literal !== null)
        rowByRepository.set(name, rowByRepository.get(name) ?? position)
      else {
        const root =
          host !== null
            ? childOf(treeByHost, host)
            : leave
              ? wildcardHosts.leave
              : wildcardHosts.other
        insert(root, segmentsOf(pattern), { row: position, pattern })
      }
    }
  }
  return {
    find: (reference, literalHostOnly, before = Infinity) => {
      const segments = reference.path.split('/')
      let first = Math.min(rowByRepository.get(repositoryName(reference)) ?? Infinity, before)
      const tree = treeByHost.get(reference.domain)
      if (tree !== undefined) first = findInTree(tree, segments, { reference, before: first })
      const withHost = [reference.domain, ...segments]
      first = findInTree(wildcardHosts.leave, withHost, { reference, before: first })
      if (!literalHostOnly)
        first = findInTree(wildcardHosts.other, withHost, { reference, before: first })
      return first
    },
  }
}

/** Without a host, the first segment is in the spelling in which the pattern compares it. */
function segmentsOf({ host, path }: ImagePattern): string[] {
  const [first = '', ...rest] = path.split('/')
  return [host === null ? canonicalHost(first) : first, ...rest]
}

function insert(root: TreeNode, segments: readonly string[], entry: IndexedPattern): void {
  let node = root
  for (const segment of segments) {
    if (segment === '**') {
      node.globstar ??= createSegmentMap<IndexedPattern[]>(() => [])
      node.globstar.at(segments.at(-1) ?? '').push(entry)
      return
    }
    node = node.children.at(segment)
  }
  node.ending.push(entry)
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
      for (const entries of node.globstar?.find(lastSegment) ?? [])
        best = firstMatch(entries, reference, best)
      const segment = segments[depth]
      if (segment === undefined) {
        best = firstMatch(node.ending, reference, best)
        continue
      }
      next.push(...node.children.find(segment))
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
    children: createSegmentMap(createNode),
    ending: [],
    globstar: null,
  }
}
