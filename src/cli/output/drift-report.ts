/** Drift for people and for programs. Pure. */
import { formatReference } from '../../decision/reference/reference.ts'
import { shortDigest } from '../../registry/manifests/manifests.ts'
import type { DriftResult } from '../../mirror/drift.ts'

/** One image in JSON. The names are a contract. */
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

/** A line for each image, with what each side serves where they differ. */
export function driftTable(drifts: readonly DriftResult[]): string {
  const width = Math.max(0, ...drifts.map(({ state }) => state.length))
  const short = (digest: string | null) => (digest === null ? 'nothing' : shortDigest(digest))
  return drifts
    .map(({ pair, state, sourceDigest, mirrorDigest, detail, platforms }) => {
      const name = `${formatReference(pair.destination)}  ←  ${formatReference(pair.source)}`
      const differs = state !== 'same' && state !== 'unreachable'
      const why = [
        ...(differs ? [`upstream ${short(sourceDigest)}, mirror ${short(mirrorDigest)}`] : []),
        ...(detail === null ? [] : [detail]),
      ]
      const lines = (platforms ?? []).map((each) => `    ${each.platform}  ${each.state}`)
      const reason = why.length === 0 ? [] : [`    ${why.join('; ')}`]
      return [`${state.padEnd(width)}  ${name}`, ...reason, ...lines].join('\n')
    })
    .join('\n')
}
