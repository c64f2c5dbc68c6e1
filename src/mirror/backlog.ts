/** Tracks the images that a cluster needs on its mirrors, and when to check each of them again. Times in milliseconds. */
import { type Backoff, backoffMs } from '../async/backoff.ts'
import type { CopyResult } from './copy-result.ts'
import type { DriftResult } from './drift.ts'
import type { ImagePair } from './image-pair.ts'

export interface BacklogImage {
  readonly pair: ImagePair
  /** The number of pods that use it. */
  readonly uses: number
}

/** What is known about an image. */
interface ImageState {
  readonly isMirrored: boolean
  /** When Berth first saw that upstream differs; null if it does not. */
  readonly driftedAt: number | null
  /** When to check it again. */
  readonly dueAt: number
  /** Failures in a row. */
  readonly failures: number
}

export interface Backlog {
  /** Replaces the images that the cluster needs, by key. Forgets all others. */
  setWanted(wanted: ReadonlyMap<string, BacklogImage>): void
  /** Returns the keys of the images to check now. */
  due(now: number): readonly string[]
  recordDrift(key: string, drift: DriftResult, now: number): void
  recordCopy(key: string, result: CopyResult, now: number): void
  /** Returns the milliseconds until an image is due; null if the cluster needs none. */
  msUntilDue(now: number): number | null
  readonly wanted: ReadonlyMap<string, BacklogImage>
  counts(now: number): BacklogCounts
}

export interface BacklogCounts {
  readonly mirrored: number
  readonly drifted: number
  readonly oldestDriftMs: number
}

/** A check costs one HEAD to each side. */
const checkIntervalMs = 10 * 60_000

/** Retries soon after a short outage, and rarely when a registry keeps refusing. */
const retryBackoff: Backoff = { firstMs: 15_000, maxMs: 30 * 60_000 }

export function createBacklog(): Backlog {
  let wanted: ReadonlyMap<string, BacklogImage> = new Map()
  const states = new Map<string, ImageState>()

  const recordFailure = (key: string, now: number) => {
    const before = states.get(key)
    const failures = (before?.failures ?? 0) + 1
    const dueAt = now + backoffMs(retryBackoff, failures)
    const driftedAt = before?.driftedAt ?? null
    states.set(key, { isMirrored: false, driftedAt, dueAt, failures })
  }
  const recordMirrored = (key: string, driftedAt: number | null, now: number) => {
    states.set(key, { isMirrored: true, driftedAt, dueAt: now + checkIntervalMs, failures: 0 })
  }

  return {
    get wanted() {
      return wanted
    },
    setWanted(next) {
      wanted = next
      for (const key of states.keys()) if (!next.has(key)) states.delete(key)
    },
    due: (now) => [...wanted.keys()].filter((key) => (states.get(key)?.dueAt ?? 0) <= now),
    recordDrift(key, { state, mirrorDigest, sourceDigest }, now) {
      const hasDrifted = state !== 'same' && state !== 'unreachable'
      const driftedAt = states.get(key)?.driftedAt ?? null
      if (mirrorDigest !== null) recordMirrored(key, hasDrifted ? (driftedAt ?? now) : null, now)
      // An image that upstream does not have either cannot be copied.
      else if (state === 'unreachable' || sourceDigest === null) recordFailure(key, now)
    },
    recordCopy(key, { status }, now) {
      if (status === 'failed') recordFailure(key, now)
      else recordMirrored(key, null, now)
    },
    msUntilDue(now) {
      const times = [...wanted.keys()].map((key) => states.get(key)?.dueAt ?? now)
      return times.length === 0 ? null : Math.max(0, Math.min(...times) - now)
    },
    counts(now) {
      const all = [...states.values()]
      const drifts = all.flatMap(({ driftedAt }) => (driftedAt === null ? [] : [driftedAt]))
      return {
        mirrored: all.filter(({ isMirrored }) => isMirrored).length,
        drifted: drifts.length,
        oldestDriftMs: drifts.length === 0 ? 0 : now - Math.min(...drifts),
      }
    },
  }
}

/** Sorts keys by size, so that most images are mirrored soonest; of the same size, the one that most pods use first. */
export function copyOrder(
  bytesByKey: ReadonlyMap<string, number>,
  wanted: ReadonlyMap<string, BacklogImage>,
): readonly string[] {
  const uses = (key: string) => wanted.get(key)?.uses ?? 0
  return [...bytesByKey]
    .sort(([one, bytes], [other, otherBytes]) => bytes - otherBytes || uses(other) - uses(one))
    .map(([key]) => key)
}
