/** Caches what registries answer for a short time, and shares one request between concurrent callers. */
import { LRUCache } from 'lru-cache'
import { onAbort, untilAborted } from '../../async/abort.ts'
import { createFairLimit } from '../../async/fair-limit.ts'
import { startTimeout } from '../../async/timeout.ts'
import { isDigest } from '../reference/parse.ts'
import { QueryTimeoutError } from './budget.ts'
import type {
  ManifestAnswer,
  ManifestQuery,
  ManifestSource,
  PreparedQuery,
} from './manifest-source.ts'

export interface CacheableQuery extends ManifestQuery {
  /** True to ask the registry even if a cached answer is fresh. */
  readonly isRefresh?: boolean
}

export type QueryManifest = (query: CacheableQuery, signal: AbortSignal) => Promise<ManifestAnswer>

export interface ManifestCacheOptions {
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Default 10,000. */
  readonly maxEntries?: number
  /** Default 10,000,000. Also a bound on keys: names of repositories can be long. */
  readonly maxBytes?: number
  /** Timeout of one query in milliseconds, default 2,000, so that a silent registry leaves time for the next. */
  readonly queryTimeoutMs?: number
  /** Returns false for a registry whose cached answers must not be used as fresh. Default: always true. */
  readonly isLive?: (host: string, now: number) => boolean
}

/** Four round trips (connection, TLS, token, HEAD) to the other side of the world take one second. */
const defaultQueryTimeoutMs = 2_000

/** The content of a digest never changes, but a mirror may be pruned. */
const digestTtlMs = 600_000

/** A tag can move. A decision may be this old. */
export const tagTtlMs = 30_000

/** Short, so that Berth soon finds an image that was just pushed. */
const absentTtlMs = 5_000

/** How long a digest can be used while its registry is down. After ten minutes, a stale pin is the smaller problem. */
const staleMs = 600_000

/** More images than one cluster starts in ten minutes. */
const defaultMaxEntries = 10_000

/** 1,000 bytes for each entry: host, repository, digest and the overhead of the map. */
const defaultMaxBytes = 10_000_000

/** Estimate for a digest, a media type and the objects around them. */
const entryOverheadBytes = 400

/**
 * Queries in flight. Each takes some ten kilobytes. One namespace uses at most half of the connections to a registry
 * (registry/http/transport.ts), so that images that are slow to probe do not stop the probes of other namespaces.
 */
const requestLimits = { max: 256, maxPerKey: 32 }

/** A query under way, with the number of callers that wait for it. */
interface InFlight {
  readonly answer: Promise<ManifestAnswer>
  readonly stop: AbortController
  waiting: number
}

interface QueryToStart {
  readonly query: ManifestQuery
  readonly prepared: PreparedQuery
  /** Releases the slot of the query. To be called once. */
  readonly release: () => void
}

/**
 * Returns a function that queries through a cache. The cache key holds the credential, so an answer for one credential is
 * never given to another. Only definite answers are cached: a registry that is down or limits requests has not said that
 * an image is absent.
 */
export function createManifestCache(
  source: ManifestSource,
  options: ManifestCacheOptions,
): QueryManifest {
  const { now, queryTimeoutMs = defaultQueryTimeoutMs, isLive = () => true } = options
  const cache = createAnswers(options)
  const queries = new Map<string, InFlight>()
  const slots = createFairLimit(requestLimits)

  return async (query, signal) => {
    const prepared = await untilAborted(source.prepare(query), signal, null)
    if (prepared === null) return { outcome: 'timeout', detail: 'no credentials in time' }
    const key = JSON.stringify([
      query.host,
      query.repository,
      query.reference,
      prepared.credentialIdentity,
    ])
    const cached = cache.get(key)
    const isFresh = (answer: ManifestAnswer | undefined): answer is ManifestAnswer =>
      answer?.freshUntil !== undefined &&
      now() < answer.freshUntil &&
      query.isRefresh !== true &&
      isLive(query.host, now())
    if (isFresh(cached)) return cached
    const joined = queries.get(key)
    if (joined !== undefined) return withStaleDigest(await wait(joined, signal), cached)
    if (!(await slots.acquire(query.namespace, signal)))
      return withStaleDigest({ outcome: 'timeout', detail: 'no free connection in time' }, cached)
    const release = () => slots.release(query.namespace)
    const answered = cache.get(key)
    if (isFresh(answered)) {
      release()
      return answered
    }
    const other = queries.get(key)
    if (other !== undefined) release()
    const inFlight = other ?? start(key, { query, prepared, release })
    return withStaleDigest(await wait(inFlight, signal), cached)
  }

  function start(key: string, { query, prepared, release }: QueryToStart): InFlight {
    const stop = new AbortController()
    const stopTimeout = startTimeout(queryTimeoutMs, () => stop.abort(new QueryTimeoutError()))
    const answer = prepared.send(stop.signal).then((received) => {
      const ttl = ttlMs(query, received)
      if (ttl === 0) {
        if (received.outcome === 'unreachable' || isTimedOut(stop.signal)) expire(cache, key, now())
        return received
      }
      const fresh = { ...received, freshUntil: now() + ttl }
      // A found image stays in the cache after it expires, for when the registry is down. A definite "no" replaces it.
      cache.set(key, fresh, { ttl: received.outcome === 'found' ? Math.max(ttl, staleMs) : ttl })
      return fresh
    })
    const inFlight: InFlight = { answer, stop, waiting: 0 }
    queries.set(key, inFlight)
    let isSettled = false
    const settle = () => {
      if (isSettled) return
      isSettled = true
      stopTimeout()
      release()
      if (queries.get(key) === inFlight) queries.delete(key)
    }
    answer.then(settle, settle)
    // Later callers must not join a query that was stopped.
    onAbort(stop.signal, settle)
    return inFlight
  }
}

type Answers = LRUCache<string, ManifestAnswer>

function createAnswers({
  now,
  maxEntries = defaultMaxEntries,
  maxBytes = defaultMaxBytes,
}: ManifestCacheOptions): Answers {
  return new LRUCache({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: (_, key) => key.length + entryOverheadBytes,
    ttl: staleMs,
    ttlResolution: 0,
    perf: { now },
  })
}

/** Keeps an answer only for when the registry is down. */
function expire(cache: Answers, key: string, now: number): void {
  const known = cache.get(key)
  if (known?.freshUntil === undefined || known.freshUntil <= now) return
  cache.set(key, { ...known, freshUntil: now }, { ttl: cache.getRemainingTTL(key) })
}

function isTimedOut({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof QueryTimeoutError
}

/** Waits for the answer until the caller's signal aborts. The query stops when its last caller has gone. */
async function wait(inFlight: InFlight, signal: AbortSignal): Promise<ManifestAnswer> {
  inFlight.waiting++
  const answer = await untilAborted(inFlight.answer, signal, null)
  if (answer !== null) return answer
  inFlight.waiting--
  // No QueryTimeoutError: the end of the caller's time says nothing about the registry.
  if (inFlight.waiting === 0) inFlight.stop.abort()
  return { outcome: 'timeout', detail: 'no response in time' }
}

/** Adds the digest that was found last to an answer that does not contradict it. */
function withStaleDigest(
  answer: ManifestAnswer,
  cached: ManifestAnswer | undefined,
): ManifestAnswer {
  if (answer.outcome === 'found' || cached?.outcome !== 'found') return answer
  const isDown = ['unreachable', 'timeout', 'limited', 'skipped'].includes(answer.outcome)
  return isDown ? { ...answer, staleDigest: cached.digest } : answer
}

function ttlMs(query: ManifestQuery, answer: ManifestAnswer): number {
  if (answer.outcome === 'found') return isDigest(query.reference) ? digestTtlMs : tagTtlMs
  return answer.outcome === 'absent' || answer.outcome === 'denied' ? absentTtlMs : 0
}
