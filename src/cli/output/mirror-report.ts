/** What came of a run: for people, for programs, and for the file that is only ever added to. Pure. */
import { formatReference } from '../../decision/reference/reference.ts'
import { shortDigest } from '../../registry/manifests/manifests.ts'
import type { CopyResult } from '../../mirror/copy-result.ts'
import { bytesText } from '../../text/units.ts'

/** One image in JSON. The names are a contract. */
export function toRecord(result: CopyResult): Readonly<Record<string, unknown>> {
  const { pair, detail, outcome, tags, ...rest } = result
  return {
    source: formatReference(pair.source),
    destination: formatReference(pair.destination),
    row: pair.row,
    status: rest.status,
    sourceDigest: rest.sourceDigest,
    mirrorDigest: rest.mirrorDigest,
    platforms: rest.platforms,
    bytesMoved: rest.bytesMoved,
    bytesThere: rest.bytesThere,
    seconds: rest.seconds,
    error: detail === null ? null : { outcome: outcome ?? null, message: detail, tags: tags ?? [] },
  }
}

/** How many tags are shown to people; JSON has them all. */
const shownTags = 8

/** An image, where it went, and what came of it, on a line or two. */
export function describeResult(result: CopyResult): string {
  const { pair, status, mirrorDigest, sourceDigest, platforms, detail, tags, seconds } = result
  const names = `${formatReference(pair.source)}  →  ${formatReference(pair.destination)}`
  if (status === 'failed') {
    const hint = tags === undefined || tags.length === 0 ? [] : [tagsHint(tags)]
    return [names, `  failed: ${detail}`, ...hint].join('\n')
  }
  const digest = shortDigest((status === 'planned' ? sourceDigest : mirrorDigest) ?? '')
  const facts = [
    digest,
    ...(platforms.length === 0 ? [] : [platforms.join(' ')]),
    ...(status === 'current'
      ? []
      : [`${bytesText(result.bytesMoved)} ${status === 'planned' ? 'to move' : 'moved'}`]),
    ...(result.bytesThere === 0 ? [] : [`${bytesText(result.bytesThere)} there`]),
    ...(status === 'planned' ? [] : [`${seconds.toFixed(1)} s`]),
  ]
  return `${names}\n  ${status}: ${facts.join(', ')}`
}

function tagsHint(tags: readonly string[]): string {
  const more = tags.length > shownTags ? `, and ${tags.length - shownTags} more` : ''
  return `  tags that are there: ${tags.slice(0, shownTags).join(', ')}${more}`
}

/** `3 copied, 1 current, 1 failed; 24 MB moved in 2.1 s`. */
export function summary(results: readonly CopyResult[], seconds: number): string {
  const counts = new Map<string, number>()
  for (const { status } of results) counts.set(status, (counts.get(status) ?? 0) + 1)
  const bytes = results.reduce((total, { bytesMoved }) => total + bytesMoved, 0)
  const words = [...counts].map(([status, count]) => `${count} ${status}`).join(', ')
  const isPlan = counts.has('planned')
  const rest = isPlan
    ? `${bytesText(bytes)} to move`
    : `${bytesText(bytes)} moved in ${seconds.toFixed(1)} s`
  return `${words === '' ? 'nothing to do' : words}; ${rest}`
}

/** 0: all is there. 3: nothing was reached. 1: something failed. */
export function exitCodeOf(results: readonly CopyResult[]): number {
  const failed = results.filter(({ status }) => status === 'failed')
  if (failed.length === 0) return 0
  const isOutOfReach = ({ outcome }: CopyResult) =>
    outcome === 'unreachable' || outcome === 'timeout' || outcome === 'limited'
  return failed.length === results.length && failed.every(isOutOfReach) ? 3 : 1
}
