/** One question, one request: answers are kept for a short time, and callers who ask the same thing at once share it. */
import { LRUCache } from 'lru-cache'
import { isDigest } from '../reference/parse.ts'
import { QueryTimeoutError } from './budget.ts'
import type {
  ManifestAnswer,
  ManifestSource,
  PreparedQuery,
  ManifestQuery,
} from './manifest-source.ts'

export type QueryManifest = (
  question: ManifestQuery,
  signal: AbortSignal,
) => Promise<ManifestAnswer>

export interface CacheOptions {
  readonly now: () => number
  /** Bounds what is kept; a key is a repository's name, and names can be long. */
  readonly maxEntries?: number
  readonly maxBytes?: number
  /** Milliseconds for one question, so that a silent registry leaves time for the ones behind it. */
  readonly questionMs?: number
}

/** Four round trips (connection, TLS, token, HEAD) to the other side of the world take a second. */
const defaultQuestionMs = 2_000

/** What a digest names never changes; only its being there can, when a mirror is pruned. */
const digestTtlMs = 600_000

/** A tag may move: an admission may be this far behind a registry. */
export const tagTtlMs = 30_000

/** Short, so that a copy that has just been made is found. */
const absentTtlMs = 5_000

/** A registry that is away for longer than this has more to recover from than a digest that is ten minutes old. */
const staleMs = 600_000

/** More images than one cluster starts in ten minutes. */
const defaultMaxEntries = 10_000

/** A thousand bytes for each of them: host, repository, digest, and the overhead of a map's entry. */
const defaultMaxBytes = 10_000_000

/** A digest, a media type and the objects around them. */
const entryOverheadBytes = 400

interface InFlight {
  readonly answer: Promise<ManifestAnswer>
  readonly stop: AbortController
  waiting: number
}

/**
 * Asks through a cache whose key holds the credential, so that no answer crosses from one credential to another.
 * Only definite answers are kept: a registry that is down or limits us has not said that an image is absent.
 */
export function createManifestCache(source: ManifestSource, options: CacheOptions): QueryManifest {
  const {
    now,
    maxEntries = defaultMaxEntries,
    maxBytes = defaultMaxBytes,
    questionMs = defaultQuestionMs,
  } = options
  const kept = new LRUCache<string, ManifestAnswer>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: (_, key) => key.length + entryOverheadBytes,
    ttl: staleMs,
    ttlResolution: 0,
    perf: { now },
  })
  const inFlight = new Map<string, InFlight>()

  return async (question, signal) => {
    const prepared = await within(source.prepare(question), signal)
    if (prepared === null) return { outcome: 'timeout', detail: 'no credentials in time' }
    const key = JSON.stringify([
      question.host,
      question.repository,
      question.reference,
      prepared.credentialIdentity,
    ])
    const known = kept.get(key)
    if (known?.freshUntil !== undefined && now() < known.freshUntil) return known
    const flight = inFlight.get(key) ?? start(key, prepared)
    return withStale(await wait(flight, signal), known)

    function start(flightKey: string, asked: PreparedQuery): InFlight {
      const stop = new AbortController()
      const timer = setTimeout(() => stop.abort(new QueryTimeoutError()), questionMs)
      const answer = asked.send(stop.signal).then((result) => {
        const ttl = ttlMs(question, result)
        // What is found is remembered beyond its time, for when the registry is away; a definite no ends that.
        const remembered = result.outcome === 'found' ? Math.max(ttl, staleMs) : ttl
        if (ttl === 0) return result
        const fresh = { ...result, freshUntil: now() + ttl }
        kept.set(flightKey, fresh, { ttl: remembered })
        return fresh
      })
      const started: InFlight = { answer, stop, waiting: 0 }
      inFlight.set(flightKey, started)
      const settle = () => {
        clearTimeout(timer)
        if (inFlight.get(flightKey) === started) inFlight.delete(flightKey)
      }
      answer.then(settle, settle)
      // Whoever comes after it was stopped starts anew.
      stop.signal.addEventListener('abort', settle, { once: true })
      return started
    }
  }

  /** A caller who gives up leaves the others their answer; the request stops when nobody waits any more. */
  function wait(flight: InFlight, signal: AbortSignal): Promise<ManifestAnswer> {
    flight.waiting++
    return new Promise((resolve, reject) => {
      const leave = () => {
        flight.waiting--
        // Whatever ended the caller's time says nothing about the registry.
        if (flight.waiting === 0) flight.stop.abort()
        resolve({ outcome: 'timeout', detail: 'no answer in time' })
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      flight.answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
    })
  }
}

/** The same, or null when the caller's time ends first: a credential may have to be fetched from far away. */
function within<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value | null> {
  if (signal.aborted) return Promise.race([promise, Promise.resolve(null)])
  return new Promise((resolve, reject) => {
    const leave = () => resolve(null)
    signal.addEventListener('abort', leave, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}

/** A registry that does not answer has not taken back what it said. */
function withStale(answer: ManifestAnswer, known: ManifestAnswer | undefined): ManifestAnswer {
  if (answer.outcome === 'found' || known?.outcome !== 'found') return answer
  const silent = ['unreachable', 'timeout', 'limited', 'skipped'].includes(answer.outcome)
  return silent ? { ...answer, staleDigest: known.digest } : answer
}

function ttlMs(question: ManifestQuery, answer: ManifestAnswer): number {
  if (answer.outcome === 'found') return isDigest(question.reference) ? digestTtlMs : tagTtlMs
  return answer.outcome === 'absent' || answer.outcome === 'denied' ? absentTtlMs : 0
}
