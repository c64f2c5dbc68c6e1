/** Visits the nodes of a YAML document. */
import { type Document, isMap, isNode, isSeq, type Node } from 'yaml'

/** Calls `visit` for each node, in the order of the text. Takes time linear in their number, unlike the library's `visit`. */
export function forEachNode(document: Document, visit: (node: Node) => void): void {
  const pending: Node[] = document.contents === null ? [] : [document.contents]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    visit(node)
    const children = childrenOf(node)
    for (let index = children.length - 1; index >= 0; index--) {
      const child = children[index]
      if (child !== undefined) pending.push(child)
    }
  }
}

/** Returns the items of a list, and the keys and values of a map. */
export function childrenOf(node: Node): readonly Node[] {
  if (isSeq(node)) return node.items.filter(isNode)
  if (!isMap(node)) return []
  return node.items.flatMap(({ key, value }) => [key, value]).filter(isNode)
}
