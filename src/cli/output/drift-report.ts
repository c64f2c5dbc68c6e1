/** Prints `berth drift` for people and as JSON. */
import { formatReference } from '../../decision/reference/reference.ts'
import type { DriftResult } from '../../mirror/drift.ts'
import { shortDigest } from '../../registry/digest.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { formatColumns } from './columns.ts'

/** Returns a result as JSON. The names are a contract. */
export function driftRecord(drift: DriftResult): Readonly<Record<string, unknown>> {
  const { pair, platforms, ...rest } = drift
  return {
    source: formatReference(pair.source),
    destination: formatReference(pair.destination),
    row: pair.row,
    state: rest.state,
    sourceDigest: rest.sourceDigest,
    mirrorDigest: rest.mirrorDigest,
    detail: rest.detail,
    ...(platforms === null ? {} : { platforms }),
  }
}

/** Returns a line for each image, and below it how the two sides differ. */
export function driftTable(drifts: readonly DriftResult[]): string {
  const lines = formatColumns(
    drifts.map(({ state, pair }) => [
      state,
      formatReference(pair.destination),
      '←',
      formatReference(pair.source),
    ]),
  )
  return drifts.flatMap((drift, index) => [lines[index] ?? '', ...detailLines(drift)]).join('\n')
}

function detailLines({
  state,
  sourceDigest,
  mirrorDigest,
  detail,
  platforms,
}: DriftResult): string[] {
  const differs = state !== 'same' && state !== 'unreachable' && state !== 'broken'
  const reasons = [
    ...(differs
      ? [`upstream ${digestText(sourceDigest)}, mirror ${digestText(mirrorDigest)}`]
      : []),
    ...(detail === null ? [] : [detail]),
  ]
  return [
    ...(reasons.length === 0 ? [] : [`    ${escapeLine(reasons.join('; '))}`]),
    ...formatColumns((platforms ?? []).map((each) => [each.platform, each.state])).map(
      (line) => `    ${line}`,
    ),
  ]
}

function digestText(digest: string | null): string {
  return digest === null ? 'nothing' : shortDigest(digest)
}
