/** Counts how images flow from upstream registries through rows and mirrors to namespaces. Pure. */
import { compareText } from '../text/compare.ts'
import type { Flow, FlowNode, RegistryState } from './wire.ts'

/** One image of one pod, or of several that are alike. */
export interface FlowStep {
  readonly upstream: string
  /** Null if no row matches. */
  readonly row: string | null
  /** The registry that the image is pulled from. */
  readonly source: string
  readonly namespace: string
}

export interface FlowOptions {
  readonly stateOf: (host: string) => RegistryState
  readonly isMirror: (host: string) => boolean
}

export interface FlowCounter {
  add(step: FlowStep): void
  flow(options: FlowOptions): Flow
}

const columns = ['upstream', 'row', 'source', 'namespace'] as const

type Column = (typeof columns)[number]

/** Nodes in a column, which is what fits on a screen. The smallest ones become one node. */
const maxNodes = 14

/** The name of the node for images without a row. The page has the same text. */
const noRow = 'no row'

export function createFlowCounter(): FlowCounter {
  const counts = new Map<string, { readonly step: Record<Column, string>; pods: number }>()
  return {
    add({ row, ...others }) {
      const step = { ...others, row: row ?? noRow }
      const key = columns.map((column) => step[column]).join(' ')
      const entry = counts.get(key) ?? { step, pods: 0 }
      entry.pods += 1
      counts.set(key, entry)
    },
    flow: (options) => flowOf([...counts.values()], options),
  }
}

type Counted = readonly { readonly step: Record<Column, string>; readonly pods: number }[]

function flowOf(counts: Counted, options: FlowOptions): Flow {
  const columnsWithNodes = columns.map((column) => nodesOf(column, counts, options))
  const idOf = (column: Column, name: string) =>
    columnsWithNodes[columns.indexOf(column)]?.idOf(name) ?? ''
  const links = new Map<string, { from: string; to: string; pods: number }>()
  for (const { step, pods } of counts)
    for (const [index, column] of columns.slice(0, -1).entries()) {
      const next = columns[index + 1] ?? column
      const [from, to] = [idOf(column, step[column]), idOf(next, step[next])]
      const link = links.get(`${from}\n${to}`) ?? { from, to, pods: 0 }
      link.pods += pods
      links.set(`${from}\n${to}`, link)
    }
  return { nodes: columnsWithNodes.flatMap(({ nodes }) => nodes), links: [...links.values()] }
}

/** Returns the nodes of a column, the ones with the most pods first. */
function nodesOf(
  column: Column,
  counts: Counted,
  { stateOf, isMirror }: FlowOptions,
): { readonly nodes: readonly FlowNode[]; readonly idOf: (name: string) => string } {
  const pods = new Map<string, number>()
  for (const each of counts)
    pods.set(each.step[column], (pods.get(each.step[column]) ?? 0) + each.pods)
  const names = [...pods]
    .toSorted(([one, few], [other, many]) => many - few || compareText(one, other))
    .map(([name]) => name)
  const shown = names.length > maxNodes ? names.slice(0, maxNodes - 1) : names
  const others = names.length - shown.length
  const isRegistry = column === 'upstream' || column === 'source'
  const nodes = shown.map((name): FlowNode => ({
    id: `${column} ${name}`,
    column,
    name,
    state: isRegistry ? stateOf(name) : 'unknown',
    isMirror: isRegistry && isMirror(name),
    others: 0,
  }))
  const rest = { id: `${column} *`, column, name: `${others} others`, state: 'unknown', isMirror: false, others } as const // prettier-ignore
  const known = new Set(shown)
  return {
    nodes: others === 0 ? nodes : [...nodes, rest],
    idOf: (name) => (known.has(name) ? `${column} ${name}` : rest.id),
  }
}
