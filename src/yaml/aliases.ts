/** Resolves the aliases of a YAML document, and bounds its size with each alias written out. */
import { type Alias, type Document, isAlias, isScalar, type Node } from 'yaml'
import type { YamlError } from './parse-yaml.ts'
import { childrenOf, forEachNode } from './nodes.ts'

/** The library searches the aliases of the whole document for each of them. */
const maxAliases = 2_000

/** The node that each alias refers to. */
export type AliasTargets = ReadonlyMap<Alias, Node>

const known = new WeakMap<Document, AliasTargets>()

/** Returns the targets of a document's aliases: the last anchor of the name before the alias. Reads each document once. */
export function aliasTargets(document: Document): AliasTargets {
  const before = known.get(document)
  if (before !== undefined) return before
  const targets = new Map<Alias, Node>()
  const anchors = new Map<string, Node>()
  forEachNode(document, (node) => {
    if (isAlias(node)) {
      const target = anchors.get(node.source)
      if (target !== undefined) targets.set(node, target)
    } else if ('anchor' in node && typeof node.anchor === 'string') anchors.set(node.anchor, node)
  })
  known.set(document, targets)
  return targets
}

export interface AliasLimits {
  /** Characters and nodes that aliases may add to the document when they are written out. */
  readonly weight: number
  /** Maps and lists inside each other when aliases are written out. */
  readonly depth: number
}

/** The size of a node with its aliases written out. */
interface NodeSize {
  readonly weight: number
  readonly depth: number
}

/**
 * Returns the first of a document's aliases that has no target, is inside of its target, or makes the document too large; null
 * without one. `aliases` are in the order of the text.
 */
export function findAliasError(
  document: Document,
  aliases: readonly Alias[],
  limits: AliasLimits,
): YamlError | null {
  if (aliases.length === 0) return null
  const targets = aliasTargets(document)
  const sizes = new Map<Node, NodeSize>()
  let weight = 0
  for (const [index, alias] of aliases.entries()) {
    const [offset = 0] = alias.range ?? []
    const target = targets.get(alias)
    if (target === undefined)
      return { offset, message: 'invalid YAML: the alias has no anchor before it' }
    if (offset < (target.range?.[1] ?? 0))
      return { offset, message: 'invalid YAML: the alias is inside its own anchor' }
    const size = sizeOf(target, targets, sizes)
    weight += size.weight
    if (index >= maxAliases || weight > limits.weight || size.depth > limits.depth)
      return {
        offset,
        message: 'the text uses too many YAML aliases; write the values without aliases',
      }
  }
  return null
}

/** The aliases in a target come before the aliases for it, so that the sizes of their own targets are known. */
function sizeOf(node: Node, targets: AliasTargets, sizes: Map<Node, NodeSize>): NodeSize {
  if (isAlias(node)) {
    const target = targets.get(node)
    return target === undefined ? { weight: 1, depth: 0 } : sizeOf(target, targets, sizes)
  }
  const before = sizes.get(node)
  if (before !== undefined) return before
  let weight = isScalar(node) && typeof node.value === 'string' ? node.value.length + 1 : 1
  let depth = 0
  for (const child of childrenOf(node)) {
    const size = sizeOf(child, targets, sizes)
    weight += size.weight
    depth = Math.max(depth, size.depth + 1)
  }
  const size = { weight, depth }
  sizes.set(node, size)
  return size
}
