/** Finds the YAML node at a path of a document's value, through aliases and merge keys. */
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type Node, type Pair } from 'yaml'
import { aliasTargets } from '../yaml/aliases.ts'
import type { DocumentPath } from './manifests.ts'

/** Returns the node at a path, or null. Aliases on the path are resolved; an alias at its end is returned as it is. */
export function nodeAt(document: Document, path: DocumentPath): Node | null {
  return path.reduce<Node | null>((node, key) => childOf(document, node, key), document.contents)
}

/** Returns the key-value pair at a path, from the map itself or from a map that is merged into it; null if there is none. */
export function pairAt(document: Document, path: DocumentPath): Pair<Node, Node | null> | null {
  const parent = resolveAlias(document, nodeAt(document, path.slice(0, -1)))
  const key = path.at(-1)
  return key === undefined ? null : pairIn(document, parent, key)
}

/** Returns the node that an alias refers to, and any other node as it is. */
export function resolveAlias(document: Document, node: Node | null): Node | null {
  return isAlias(node) ? (aliasTargets(document).get(node) ?? null) : node
}

function childOf(document: Document, parent: Node | null, key: string | number): Node | null {
  const node = resolveAlias(document, parent)
  if (isSeq(node)) return (node.items[Number(key)] as Node | undefined) ?? null
  return pairIn(document, node, key)?.value ?? null
}

function pairIn(
  document: Document,
  node: Node | null,
  key: string | number,
): Pair<Node, Node | null> | null {
  if (!isMap(node)) return null
  const direct = node.items.find(
    (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key),
  ) as Pair<Node, Node | null> | undefined
  if (direct !== undefined) return direct
  const merged = resolveAlias(document, mergeValue(node.items))
  const sources = isSeq(merged) ? (merged.items as Node[]) : merged === null ? [] : [merged]
  for (const source of sources) {
    const found = pairIn(document, resolveAlias(document, source), key)
    if (found !== null) return found
  }
  return null
}

/** Returns the value of `<<`. The library parses that key to a symbol and keeps the text in `source`. */
function mergeValue(items: readonly Pair[]): Node | null {
  const pair = items.find(({ key }) => isScalar(key) && key.source === '<<')
  return (pair?.value as Node | undefined) ?? null
}
