/** What the loops have found about the images of pods, for the loop that writes reports. */
import type { Config } from '../config/config.ts'
import type { FindingKind, ImageFinding } from '../report/open-reports.ts'

export interface ImageFindings {
  /** Replaces the findings of a kind. They are read when a report is built, and need no memory until then. */
  publish(kind: FindingKind, read: () => Iterable<ImageFinding>): void
  /** Returns all findings; null until every expected kind was published. */
  read(): Iterable<ImageFinding> | null
  /** Sets the function that is called after each publication. */
  onChange(listener: () => void): void
}

/**
 * `expected`: the kinds that loops of the config publish. Before they have, a report would lose findings that still hold.
 *
 * @internal Exported for tests.
 */
export function createImageFindings(expected: readonly FindingKind[]): ImageFindings {
  const readers = new Map<FindingKind, () => Iterable<ImageFinding>>()
  let notify = () => {}

  function* readAll(): Generator<ImageFinding> {
    for (const read of readers.values()) yield* read()
  }

  return {
    publish(kind, read) {
      readers.set(kind, read)
      notify()
    },
    read: () => (expected.every((kind) => readers.has(kind)) ? readAll() : null),
    onChange(listener) {
      notify = listener
    },
  }
}

/** Returns the findings of the loops that a config asks for; null if it asks for no reports. */
export function findingsFor({
  reports,
  pullFailures,
  unprocessed,
  mode,
  availability,
}: Config): ImageFindings | null {
  if (!reports.openReports) return null
  return createImageFindings([
    'unpinned-image',
    ...(pullFailures.report ? (['pull-failure'] as const) : []),
    ...(unprocessed !== null && mode === 'enforce' ? (['unprocessed-pod'] as const) : []),
    ...(availability === null ? [] : (['image-at-risk'] as const)),
  ])
}
