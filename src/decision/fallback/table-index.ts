/** Finds the row of an image in a table, by the image and by the pod that has it. */
import type { Reference } from '../reference/reference.ts'
import { createConditionIndex } from './condition-index.ts'
import type { PodCondition } from './pod-condition.ts'
import type { PodContext } from './pod-context.ts'
import { createRowIndex, type IndexedRow, type RowIndex, rowMatches } from './row-index.ts'

/** A row with its condition; null if it is for every pod. */
export interface ConditionalRow extends IndexedRow {
  readonly when: PodCondition | null
}

export interface RowPosition {
  /** The position of the first row that matches, or -1. */
  readonly position: number
  /** The positions of earlier rows that match if what is not known of the pod meets their condition. */
  readonly undecided: readonly number[]
}

export interface TableIndex {
  /** True if a row has a condition, so that the pod of an image matters. */
  readonly hasConditions: boolean
  /** Finds the row of a canonical reference. For `literalHostOnly` see `RowIndex`. */
  find(reference: Reference, literalHostOnly: boolean, pod: PodContext): RowPosition
  /** Returns true if the condition of a row is known to hold for a pod. */
  holdsFor(pod: PodContext): boolean
  /** Returns a text that is the same for pods for which the same conditions hold. */
  podKey(pod: PodContext): string
  /** Returns the position of the first row that matches every pod that meets a condition, or -1. */
  findForAll(reference: Reference, literalHostOnly: boolean, when: PodCondition | null): number
}

/** The rows with the same condition. */
interface RowGroup {
  readonly condition: PodCondition
  readonly rows: readonly ConditionalRow[]
  readonly index: RowIndex
}

export function createTableIndex(rows: readonly ConditionalRow[]): TableIndex {
  const unconditional = createRowIndex(rows.filter(({ when }) => when === null))
  const groups = groupByCondition(rows)
  const conditions = createConditionIndex(groups.map(({ condition }) => condition))
  const groupByText = new Map(groups.map((group) => [group.condition.text, group]))
  const groupsFor = rememberLast((pod: PodContext) => {
    const { holding, unknown } = conditions.find(pod)
    const at = (positions: readonly number[]) =>
      positions.flatMap((position) => groups[position] ?? [])
    return { holding: at(holding), unknown: at(unknown) }
  })
  return {
    hasConditions: groups.length > 0,
    find: (reference, literalHostOnly, pod) => {
      const first = unconditional.find(reference, literalHostOnly)
      if (groups.length === 0) return rowPosition(first, [])
      const { holding, unknown } = groupsFor(pod)
      const best = holding.reduce(
        (before, { index }) => index.find(reference, literalHostOnly, before),
        first,
      )
      const undecided = unknown.flatMap(({ rows: group }) =>
        group.filter((row) => row.position < best && rowMatches(row, reference, literalHostOnly)),
      )
      return rowPosition(
        best,
        undecided.map(({ position }) => position),
      )
    },
    holdsFor: (pod) => groupsFor(pod).holding.length > 0,
    podKey: (pod) => {
      const { holding, unknown } = conditions.find(pod)
      return `${holding.join()} ${unknown.join()}`
    },
    findForAll: (reference, literalHostOnly, when) => {
      const first = unconditional.find(reference, literalHostOnly)
      const group = when === null ? undefined : groupByText.get(when.text)
      const best = group?.index.find(reference, literalHostOnly, first) ?? first
      return best === Infinity ? -1 : best
    },
  }
}

function rowPosition(first: number, undecided: readonly number[]): RowPosition {
  return {
    position: first === Infinity ? -1 : first,
    undecided: undecided.toSorted((one, other) => one - other),
  }
}

function groupByCondition(rows: readonly ConditionalRow[]): RowGroup[] {
  const groups = new Map<string, { condition: PodCondition; rows: ConditionalRow[] }>()
  for (const row of rows) {
    if (row.when === null) continue
    const group = groups.get(row.when.text)
    if (group === undefined) groups.set(row.when.text, { condition: row.when, rows: [row] })
    else group.rows.push(row)
  }
  return [...groups.values()].map((group) => ({ ...group, index: createRowIndex(group.rows) }))
}

/** Remembers the result for the last argument: a review asks for each image of one pod. */
function rememberLast<Argument, Result>(
  compute: (argument: Argument) => Result,
): (argument: Argument) => Result {
  let last: { readonly argument: Argument; readonly result: Result } | undefined
  return (argument) => {
    if (last?.argument !== argument) last = { argument, result: compute(argument) }
    return last.result
  }
}
