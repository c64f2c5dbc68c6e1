/** What is known of the images that a cluster wants on mirrors, and which of them comes next. Times in milliseconds. */
import type { DriftResult } from './drift.ts'
import type { ImagePair } from './image-pair.ts'
import type { CopyResult } from './copy-result.ts'

export interface BacklogImage {
  readonly pair: ImagePair
  /** Pods that run it. */
  readonly uses: number
}

interface Known {
  readonly isThere: boolean
  /** When upstream was first seen to have moved. */
  readonly driftedAt: number | null
  /** When it is looked at again. */
  readonly dueAt: number
  readonly failures: number
}

export interface Backlog {
  /** Takes what is wanted now; what is no longer is forgotten. */
  setWanted(wanted: ReadonlyMap<string, BacklogImage>): void
  /** Keys that have to be looked at. */
  due(now: number): readonly string[]
  recordDrift(key: string, drift: DriftResult, now: number): void
  recordCopy(key: string, result: CopyResult, now: number): void
  /** Milliseconds until something is due; null when nothing is wanted. */
  msUntilDue(now: number): number | null
  readonly wanted: ReadonlyMap<string, BacklogImage>
  counts(now: number): BacklogCounts
}

export interface BacklogCounts {
  readonly there: number
  readonly drifted: number
  readonly oldestDriftMs: number
}

/** As often as a person would look: a HEAD for each image on both sides. */
const lookAgainMs = 10 * 60_000

/** After a failure, doubled with each: a registry that was down is found up soon, one that refuses is not pestered. */
const firstRetryMs = 15_000
const mostRetryMs = 30 * 60_000

export function createBacklog(): Backlog {
  let wanted: ReadonlyMap<string, BacklogImage> = new Map()
  const known = new Map<string, Known>()

  const fail = (key: string, isThere: boolean, now: number) => {
    const before = known.get(key)
    const failures = (before?.failures ?? 0) + 1
    const wait = Math.min(mostRetryMs, firstRetryMs * 2 ** (failures - 1))
    known.set(key, { isThere, driftedAt: before?.driftedAt ?? null, dueAt: now + wait, failures })
  }
  const settle = (key: string, driftedAt: number | null, now: number) => {
    known.set(key, { isThere: true, driftedAt, dueAt: now + lookAgainMs, failures: 0 })
  }

  return {
    get wanted() {
      return wanted
    },
    setWanted(next) {
      wanted = next
      for (const key of known.keys()) if (!next.has(key)) known.delete(key)
    },
    due: (now) => [...wanted.keys()].filter((key) => (known.get(key)?.dueAt ?? 0) <= now),
    recordDrift(key, { state, mirrorDigest, sourceDigest }, now) {
      const hasDrifted = state !== 'same' && state !== 'unreachable'
      const driftedAt = known.get(key)?.driftedAt ?? null
      if (mirrorDigest !== null) settle(key, hasDrifted ? (driftedAt ?? now) : null, now)
      // What upstream does not have either cannot be copied now.
      else if (state === 'unreachable' || sourceDigest === null) fail(key, false, now)
    },
    recordCopy(key, { status }, now) {
      if (status === 'failed') fail(key, false, now)
      else settle(key, null, now)
    },
    msUntilDue(now) {
      const times = [...wanted.keys()].map((key) => known.get(key)?.dueAt ?? now)
      return times.length === 0 ? null : Math.max(0, Math.min(...times) - now)
    },
    counts(now) {
      const all = [...known.values()]
      const drifts = all.flatMap(({ driftedAt }) => (driftedAt === null ? [] : [driftedAt]))
      return {
        there: all.filter(({ isThere }) => isThere).length,
        drifted: drifts.length,
        oldestDriftMs: drifts.length === 0 ? 0 : now - Math.min(...drifts),
      }
    },
  }
}

/** The fewest bytes first, so that most images are there soonest; of equals the one that most pods use. */
export function copyOrder(
  queue: ReadonlyMap<string, number>,
  wanted: ReadonlyMap<string, BacklogImage>,
): readonly string[] {
  const uses = (key: string) => wanted.get(key)?.uses ?? 0
  return [...queue]
    .sort(([one, bytes], [other, others]) => bytes - others || uses(other) - uses(one))
    .map(([key]) => key)
}
