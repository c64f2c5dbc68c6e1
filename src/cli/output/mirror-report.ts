/** Prints the results of `berth mirror`. */
import { shortDigest } from '../../registry/digest.ts'
import type { CopyResult } from '../../mirror/copy-result.ts'
import { destinationName, sourceName } from '../../mirror/image-pair.ts'
import { escapeTerminal } from '../../text/escape-terminal.ts'
import { bytesText } from '../../text/units.ts'

/** Tags that are printed; JSON has all of them. */
const shownTags = 8

/** Returns the image and its destination on one line, and the result on the next. */
export function describeResult(result: CopyResult): string {
  return escapeTerminal(resultText(result), '\n')
}

function resultText(result: CopyResult): string {
  const { pair, status, mirrorDigest, sourceDigest, platforms, detail, tags, seconds } = result
  const names = `${sourceName(pair)}  →  ${destinationName(pair)}`
  if (status === 'failed') {
    const hint = tags === undefined || tags.length === 0 ? [] : [tagsHint(tags)]
    return [names, `  failed: ${detail}`, ...hint].join('\n')
  }
  if (status === 'planned' && sourceDigest === null)
    return `${names}\n  planned: no registry was asked`
  const digest = shortDigest((status === 'planned' ? sourceDigest : mirrorDigest) ?? '')
  const isOther = status !== 'planned' && sourceDigest !== mirrorDigest && sourceDigest !== null
  const facts = [
    isOther ? `${digest} instead of ${shortDigest(sourceDigest)} upstream` : digest,
    ...(platforms.length === 0 ? [] : [platforms.join(' ')]),
    ...(status === 'current'
      ? []
      : [`${bytesText(result.bytesMoved)} ${status === 'planned' ? 'to move' : 'moved'}`]),
    ...(result.bytesThere === 0 ? [] : [`${bytesText(result.bytesThere)} there`]),
    ...(status === 'planned' ? [] : [`${seconds.toFixed(1)} s`]),
    ...missingText(result),
  ]
  return `${names}\n  ${status}: ${facts.join(', ')}`
}

function missingText({ missingAttestations: { length } }: CopyResult): string[] {
  if (length === 0) return []
  return [length === 1 ? 'without a missing attestation' : `without ${length} missing attestations`]
}

function tagsHint(tags: readonly string[]): string {
  const more = tags.length > shownTags ? `, and ${tags.length - shownTags} more` : ''
  return `  existing tags: ${tags.slice(0, shownTags).join(', ')}${more}`
}

/** Returns for example `3 copied, 1 current, 1 failed; 24 MB moved in 2.1 s`. */
export function summarize(results: readonly CopyResult[], seconds: number): string {
  const counts = new Map<string, number>()
  for (const { status } of results) counts.set(status, (counts.get(status) ?? 0) + 1)
  const bytes = results.reduce((total, { bytesMoved }) => total + bytesMoved, 0)
  const words = [...counts].map(([status, count]) => `${count} ${status}`).join(', ')
  const isPlan = counts.has('planned')
  if (results.some(({ status, sourceDigest }) => status === 'planned' && sourceDigest === null))
    return `${words}; no registry was asked, so the mirrors may have them`
  const rest = isPlan
    ? `${bytesText(bytes)} to move`
    : `${bytesText(bytes)} moved in ${seconds.toFixed(1)} s`
  return `${words === '' ? 'nothing to do' : words}; ${rest}`
}

/** Returns 0 if no copy failed, 3 if all failed because no registry could be reached, else 1. */
export function mirrorExitCode(results: readonly CopyResult[]): number {
  const failed = results.filter(({ status }) => status === 'failed')
  if (failed.length === 0) return 0
  const isUnreachable = ({ outcome }: CopyResult) =>
    outcome === 'unreachable' || outcome === 'timeout' || outcome === 'limited'
  return failed.length === results.length && failed.every(isUnreachable) ? 3 : 1
}
