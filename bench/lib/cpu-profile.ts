/** Reads a V8 CPU profile: the share of busy time of each function, with and without the functions that it calls. */
interface ProfileNode {
  readonly id: number
  readonly callFrame: {
    readonly functionName: string
    readonly url: string
    readonly lineNumber: number
  }
  readonly children?: readonly number[]
}

interface Profile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface Weight {
  readonly name: string
  readonly share: number
}

/** Entries of the profile that are not work of the program. */
const waiting: ReadonlySet<string> = new Set(['(idle)', '(root)'])

export function readProfile(
  text: string,
  directory: string,
): { readonly self: Weight[]; readonly total: Weight[] } {
  const { nodes, samples, timeDeltas } = JSON.parse(text) as Profile
  const micros = new Map<number, number>()
  samples.forEach((id, index) => micros.set(id, (micros.get(id) ?? 0) + (timeDeltas[index] ?? 0)))
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const self = new Map<string, number>()
  const total = new Map<string, number>()
  const add = (sums: Map<string, number>, name: string, value: number) =>
    sums.set(name, (sums.get(name) ?? 0) + value)
  const walk = (id: number, above: ReadonlySet<string>): number => {
    const node = byId.get(id)
    if (node === undefined) return 0
    const name = nameOf(node, directory)
    const own = waiting.has(name) ? 0 : (micros.get(id) ?? 0)
    const inside = new Set(above).add(name)
    const below = (node.children ?? []).reduce((sum, child) => sum + walk(child, inside), 0)
    add(self, name, own)
    // A recursive function is counted once, at its outermost call.
    if (!above.has(name)) add(total, name, own + below)
    return own + below
  }
  const busy = walk(nodes[0]?.id ?? 0, new Set())
  const ranked = (sums: Map<string, number>) =>
    [...sums]
      .filter(([name]) => !waiting.has(name))
      .map(([name, value]) => ({ name, share: value / busy }))
      .sort((a, b) => b.share - a.share)
  return { self: ranked(self), total: ranked(total) }
}

function nameOf({ callFrame }: ProfileNode, directory: string): string {
  const { functionName, url, lineNumber } = callFrame
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  const file = url
    .replace(/^file:\/\//, '')
    .replace(`${directory}/`, '')
    .replace(/^.*node_modules\//, '')
  return `${name} ${file}:${lineNumber + 1}`
}
