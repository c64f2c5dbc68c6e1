/** Visits the nodes of a YAML document. */
import { type Document, isCollection, isMap, isNode, isPair, isSeq, type Node } from 'yaml'

/** Calls `visit` for each node, in the order of the text. Takes time linear in their number, unlike the library's `visit`. */
export function forEachNode(document: Document, visit: (node: Node) => void): void {
  const pending: Node[] = document.contents === null ? [] : [document.contents]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    visit(node)
    const items: readonly unknown[] = isCollection(node) ? node.items : []
    // The last one first: the end of the list is visited next. Without arrays of children, this takes half the time.
    for (let index = items.length - 1; index >= 0; index--) {
      const item = items[index]
      const [first, second] = isPair(item) ? [item.key, item.value] : [item, null]
      if (isNode(second)) pending.push(second)
      if (isNode(first)) pending.push(first)
    }
  }
}

/** Returns the items of a list, and the keys and values of a map. */
export function childrenOf(node: Node): readonly Node[] {
  if (isSeq(node)) return node.items.filter(isNode)
  if (!isMap(node)) return []
  return node.items.flatMap(({ key, value }) => [key, value]).filter(isNode)
}
