/** Groups kustomizations that share files or read each other: what one of them needs can change what another one deploys. */
import { filesOf } from './kustomize-plan.ts'
import type { KustomizeNode } from './load-graph.ts'

/** Returns the groups of connected kustomizations. */
export function connectedGroups(nodes: readonly KustomizeNode[]): KustomizeNode[][] {
  const byFile = new Map<string, KustomizeNode[]>()
  for (const node of nodes)
    for (const { realPath } of filesOf(node)) {
      const known = byFile.get(realPath)
      if (known === undefined) byFile.set(realPath, [node])
      else known.push(node)
    }
  const reached = new Set<KustomizeNode>()
  return nodes.flatMap((start) => {
    if (reached.has(start)) return []
    reached.add(start)
    const group = [start]
    for (const node of group) {
      const sharing = filesOf(node).flatMap(({ realPath }) => byFile.get(realPath) ?? [])
      for (const next of [...node.bases, ...node.components, ...node.parents, ...sharing]) {
        if (reached.has(next)) continue
        reached.add(next)
        group.push(next)
      }
    }
    return [group]
  })
}
