/** Finds out whether a candidate has the platforms that its pods need. */
import { LRUCache } from 'lru-cache'
import { untilAborted } from '../../async/abort.ts'
import { createFairLimit } from '../../async/fair-limit.ts'
import { canRun } from '../platforms/platform.ts'
import type { QueryManifest } from './manifest-cache.ts'
import type { ManifestQuery } from './manifest-source.ts'

/** One platform of an image. */
export interface PlatformEntry {
  /** For example `linux/arm64/v8`. */
  readonly platform: string
  /** The digest of its manifest in an index; null for an image of a single platform. */
  readonly digest: string | null
}

export type PlatformsAnswer =
  | { readonly ok: true; readonly entries: readonly PlatformEntry[] }
  /** The platforms are not known. */
  | { readonly ok: false; readonly detail: string }

export interface PlatformSource {
  /** Reads the platforms of the image with a digest. Every failure of a registry is an answer; only bugs reject. */
  readPlatforms(query: ManifestQuery, signal: AbortSignal): Promise<PlatformsAnswer>
}

export interface PlatformCheck {
  /** The wanted platforms that the candidate lacks. */
  readonly missing: readonly string[]
  /** All platforms of the candidate whose manifests exist. */
  readonly available: readonly string[]
  /** When the check expires, in milliseconds of the monotonic clock. */
  readonly freshUntil: number
}

/**
 * Returns which of the wanted platforms the image with this digest lacks; null if its platforms are not known. `query` names it
 * by its digest.
 */
export type CheckPlatforms = (
  query: ManifestQuery,
  wanted: readonly string[],
  signal: AbortSignal,
) => Promise<PlatformCheck | null>

/** As many as the manifests that are cached. The platforms of a digest never change. */
const maxEntries = 10_000
const maxBytes = 10_000_000
const entryOverheadBytes = 200

/** The maximum number of reads in flight. Each holds a manifest of up to 4 MiB, within the memory limit for all bodies. */
const readLimits = { max: 32, maxPerKey: 8 }

/** The maximum number of manifests of an index to check. A real index has one for each platform. */
const maxChildren = 32

/** Milliseconds for one read; a probe has the same. */
const readTimeoutMs = 2_000

/**
 * Creates the check. The entries of an index are read once for each digest. Whether their manifests exist is asked with the cache
 * of the probes.
 */
export function createPlatformLookup(
  source: PlatformSource,
  queryManifest: QueryManifest,
): CheckPlatforms {
  const cache = new LRUCache<string, readonly PlatformEntry[]>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: (entries, key) =>
      entries.reduce(
        (bytes, { platform, digest }) => bytes + platform.length + (digest?.length ?? 0) + 100,
        key.length + entryOverheadBytes,
      ),
  })
  const reads = new Map<string, Promise<PlatformsAnswer>>()
  const slots = createFairLimit(readLimits)

  const read = async (query: ManifestQuery, signal: AbortSignal): Promise<PlatformsAnswer> => {
    if (!(await slots.acquire(query.namespace, signal)))
      return { ok: false, detail: 'no free connection in time' }
    try {
      const answer = await source.readPlatforms(query, AbortSignal.timeout(readTimeoutMs))
      // The content was verified against the digest, so the answer holds for every registry.
      if (answer.ok) cache.set(query.reference, answer.entries)
      return answer
    } finally {
      slots.release(query.namespace)
    }
  }

  const entriesOf = async (
    query: ManifestQuery,
    signal: AbortSignal,
  ): Promise<readonly PlatformEntry[] | null> => {
    const known = cache.get(query.reference)
    if (known !== undefined) return known
    const key = JSON.stringify([query.host, query.repository, query.reference, query.namespace])
    const inFlight = reads.get(key)
    const answering = inFlight ?? read(query, signal).finally(() => reads.delete(key))
    if (inFlight === undefined) reads.set(key, answering)
    const answer = await untilAborted(answering, signal, null)
    return answer?.ok === true ? answer.entries : null
  }

  return async (query, wanted, signal) => {
    const entries = await entriesOf(query, signal)
    if (entries === null) return null
    const relevant = entries
      .filter(({ platform }) => wanted.some((each) => canRun([platform], each)))
      .slice(0, maxChildren)
    const children = await Promise.all(
      relevant.map(async ({ platform, digest }) => {
        if (digest === null) return { platform, isLost: false, freshUntil: Infinity }
        const answer = await queryManifest({ ...query, reference: digest }, signal)
        const isLost = answer.outcome === 'absent'
        return { platform, isLost, freshUntil: answer.freshUntil ?? 0 }
      }),
    )
    const lost = new Set(children.filter(({ isLost }) => isLost).map(({ platform }) => platform))
    const available = entries.map(({ platform }) => platform).filter((each) => !lost.has(each))
    return {
      available: [...new Set(available)].sort(),
      missing: wanted.filter((each) => !canRun(available, each)),
      freshUntil: children.reduce((first, child) => Math.min(first, child.freshUntil), Infinity),
    }
  }
}
