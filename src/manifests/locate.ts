/** From a path in what a YAML document means to the node that stands for it in the text, through aliases and merge keys. */
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type Node, type Pair } from 'yaml'
import type { Path } from './source.ts'

/** The node at a path; an alias is followed on the way and not at its end. Null where nothing stands there. */
export function nodeAt(document: Document, path: Path): Node | null {
  return path.reduce<Node | null>((node, key) => childOf(document, node, key), document.contents)
}

/** The entry of a map that holds this path: the one of the map itself, or of a map that is merged into it. */
export function pairAt(document: Document, path: Path): Pair<Node, Node | null> | null {
  const parent = follow(document, nodeAt(document, path.slice(0, -1)))
  const key = path.at(-1)
  return key === undefined ? null : entryOf(document, parent, key)
}

/** What an alias stands for; any other node itself. */
export function follow(document: Document, node: Node | null): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node
}

function childOf(document: Document, parent: Node | null, key: string | number): Node | null {
  const node = follow(document, parent)
  if (isSeq(node)) return (node.items[Number(key)] as Node | undefined) ?? null
  return entryOf(document, node, key)?.value ?? null
}

function entryOf(
  document: Document,
  node: Node | null,
  key: string | number,
): Pair<Node, Node | null> | null {
  if (!isMap(node)) return null
  const named = (name: string) =>
    node.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === name,
    ) as Pair<Node, Node | null> | undefined
  const own = named(String(key))
  if (own !== undefined) return own
  const merged = follow(document, mergeValue(node.items))
  const sources = isSeq(merged) ? (merged.items as Node[]) : merged === null ? [] : [merged]
  for (const source of sources) {
    const found = entryOf(document, follow(document, source), key)
    if (found !== null) return found
  }
  return null
}

/** The value of `<<`: the library gives its key a symbol for a value, and keeps how it is written beside it. */
function mergeValue(items: readonly Pair[]): Node | null {
  const pair = items.find(({ key }) => isScalar(key) && key.source === '<<')
  return (pair?.value as Node | undefined) ?? null
}
