/** Tracks the images that a cluster needs on its mirrors, and when to check each of them again. Times in milliseconds. */
import { type Backoff, backoffMs } from '../async/backoff.ts'
import type { CopyResult } from './copy-result.ts'
import type { DriftResult } from './drift.ts'
import { isOnMirror, type MirrorState, mirrorStates, stateAfterCheck } from './mirror-state.ts'
import type { WantedImage, WantedImages } from './wanted-images.ts'

/** What is known about an image. */
interface ImageState {
  readonly state: MirrorState
  /** When Berth first saw that upstream differs; null if it does not. */
  readonly driftedAt: number | null
  /** When to compare it with upstream again. */
  readonly dueAt: number
  /** Failures in a row. */
  readonly failures: number
  /** The earliest time for a check because a pod needs the image; null if only `dueAt` counts. */
  readonly earliestAt: number | null
  /** When to check it because a pod needs it; null if none does. */
  readonly neededAt: number | null
}

export interface Backlog {
  /** Replaces the images that the cluster needs. Forgets all others. */
  setWanted(images: WantedImages): void
  /** Brings the next check of an image forward, because a pod has to pull it. */
  podNeeds(key: string, now: number): void
  /** Returns the keys of the images to check now. */
  due(now: number): readonly string[]
  /** Returns true if the mirror had the image, and it is due only because a pod needs it: no need to ask upstream. */
  needsMirrorOnly(key: string, now: number): boolean
  /** Records that the mirror still has an image. */
  recordPresent(key: string, now: number): void
  recordDrift(key: string, drift: DriftResult, now: number): void
  recordCopy(key: string, result: CopyResult, now: number): void
  /** Returns the milliseconds until an image is due; null if the cluster needs none. */
  msUntilDue(now: number): number | null
  stateOf(key: string): MirrorState
  readonly wanted: ReadonlyMap<string, WantedImage>
  counts(now: number): BacklogCounts
}

export interface BacklogCounts {
  readonly states: Readonly<Record<MirrorState, number>>
  readonly drifted: number
  readonly oldestDriftMs: number
}

/** A check costs one HEAD to each side. */
const checkIntervalMs = 10 * 60_000

/** The least time between two checks of an image that pods need: a rollout or a CronJob creates many pods. */
const neededIntervalMs = 30_000

/** Retries soon after a short outage, and rarely when a registry keeps refusing. */
const retryBackoff: Backoff = { firstMs: 15_000, maxMs: 30 * 60_000 }

export function createBacklog(): Backlog {
  let images: WantedImages = { wanted: new Map(), conflicts: new Map() }
  const states = new Map<string, ImageState>()

  return {
    get wanted() {
      return images.wanted
    },
    setWanted(next) {
      images = next
      for (const key of states.keys()) if (!next.wanted.has(key)) states.delete(key)
    },
    podNeeds(key, now) {
      const before = states.get(key)
      // An image without a state is due anyway.
      if (before === undefined || before.earliestAt === null) return
      states.set(key, { ...before, neededAt: Math.max(now, before.earliestAt) })
    },
    due: (now) => [...images.wanted.keys()].filter((key) => nextCheckAt(states.get(key)) <= now),
    needsMirrorOnly(key, now) {
      const known = states.get(key)
      return known !== undefined && isOnMirror(known.state) && known.dueAt > now
    },
    recordPresent(key, now) {
      const before = states.get(key)
      if (before === undefined) return
      states.set(key, { ...before, earliestAt: now + neededIntervalMs, neededAt: null })
    },
    recordDrift: (key, drift, now) => states.set(key, afterCheck(states.get(key), drift, now)),
    recordCopy(key, { status, outcome = 'invalid' }, now) {
      const before = states.get(key)
      // A copy can move gigabytes before it fails, so pods do not bring the next one forward.
      const failure = { state: outcome, earliestAt: null, now }
      states.set(key, status === 'failed' ? failed(before, failure) : onMirror(null, now))
    },
    msUntilDue(now) {
      const times = [...images.wanted.keys()].map((key) => nextCheckAt(states.get(key)))
      const first = times.reduce((one, other) => Math.min(one, other), Infinity)
      return times.length === 0 ? null : Math.max(0, first - now)
    },
    stateOf: (key) => states.get(key)?.state ?? 'waiting',
    counts: (now) => countStates(images, states, now),
  }
}

/** Returns what is known of an image after a comparison with upstream. */
function afterCheck(before: ImageState | undefined, drift: DriftResult, now: number): ImageState {
  const state = stateAfterCheck(drift)
  const driftedAt = before?.driftedAt ?? null
  if (state === 'mirrored') return onMirror(drift.state === 'unreachable' ? driftedAt : null, now)
  if (state === 'drifted') return onMirror(driftedAt ?? now, now)
  if (state !== 'waiting') {
    const earliestAt = state === 'limited' ? null : now + neededIntervalMs
    return failed(before, { state, earliestAt, now })
  }
  // Due until it is copied. A copy that fails again waits longer than the last one.
  const failures = before?.failures ?? 0
  return { state, driftedAt: null, dueAt: now, failures, earliestAt: null, neededAt: null }
}

function onMirror(driftedAt: number | null, now: number): ImageState {
  return {
    state: driftedAt === null ? 'mirrored' : 'drifted',
    driftedAt,
    dueAt: now + checkIntervalMs,
    failures: 0,
    earliestAt: now + neededIntervalMs,
    neededAt: null,
  }
}

function failed(
  before: ImageState | undefined,
  { now, ...failure }: Pick<ImageState, 'state' | 'earliestAt'> & { readonly now: number },
): ImageState {
  const failures = (before?.failures ?? 0) + 1
  return {
    ...failure,
    driftedAt: before?.driftedAt ?? null,
    dueAt: now + backoffMs(retryBackoff, failures),
    failures,
    neededAt: null,
  }
}

/** Returns 0 for an image that was not checked yet. */
function nextCheckAt(state: ImageState | undefined): number {
  return state === undefined ? 0 : Math.min(state.dueAt, state.neededAt ?? Infinity)
}

function countStates(
  { wanted, conflicts }: WantedImages,
  states: ReadonlyMap<string, ImageState>,
  now: number,
): BacklogCounts {
  const counts = Object.fromEntries(mirrorStates.map((state) => [state, 0])) as Record<
    MirrorState,
    number
  >
  for (const key of wanted.keys()) counts[states.get(key)?.state ?? 'waiting'] += 1
  counts.conflict = conflicts.size
  const drifts = [...states.values()].flatMap(({ driftedAt }) =>
    driftedAt === null ? [] : [driftedAt],
  )
  return {
    states: counts,
    drifted: drifts.length,
    oldestDriftMs: now - drifts.reduce((first, time) => Math.min(first, time), now),
  }
}

/** Sorts keys by size, so that most images are mirrored soonest; of the same size, the one that most pods use first. */
export function copyOrder(
  bytesByKey: ReadonlyMap<string, number>,
  wanted: ReadonlyMap<string, WantedImage>,
): readonly string[] {
  const uses = (key: string) => wanted.get(key)?.uses ?? 0
  return [...bytesByKey]
    .sort(([one, bytes], [other, otherBytes]) => bytes - otherBytes || uses(other) - uses(one))
    .map(([key]) => key)
}
