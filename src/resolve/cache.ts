/** One question, one request: answers are kept for a short time, and callers who ask the same thing at once share it. */
import { LRUCache } from 'lru-cache'
import { isDigest } from '../reference/parse.ts'
import type { Answer, ManifestSource, PreparedQuestion, Question } from './ports.ts'

export type Ask = (question: Question, signal: AbortSignal) => Promise<Answer>

export interface CacheOptions {
  readonly now: () => number
  /** Entries kept at most; one is about 500 bytes with its key. */
  readonly maxEntries?: number
}

/** What a digest names never changes; only its being there can, when a mirror is pruned. */
const digestTtlMs = 600_000

/** A tag may move: an admission may be this far behind a registry. */
const tagTtlMs = 30_000

/** Short, so that a copy that has just been made is found. */
const absentTtlMs = 5_000

/** 10,000 images × 500 bytes is 5 MB, and more images than one cluster starts in half a minute. */
const defaultMaxEntries = 10_000

interface Flight {
  readonly answer: Promise<Answer>
  readonly stop: AbortController
  waiting: number
}

/**
 * Asks through a cache whose key holds the credential, so that no answer crosses from one credential to another.
 * Only definite answers are kept: a registry that is down or limits us has not said that an image is absent.
 */
export function createCache(source: ManifestSource, options: CacheOptions): Ask {
  const { now, maxEntries = defaultMaxEntries } = options
  const kept = new LRUCache<string, Answer>({
    max: maxEntries,
    ttl: tagTtlMs,
    ttlResolution: 0,
    perf: { now },
  })
  const flights = new Map<string, Flight>()

  return async (question, signal) => {
    const prepared = await source.prepare(question)
    const key = JSON.stringify([
      question.host,
      question.repository,
      question.reference,
      prepared.credentialIdentity,
    ])
    const known = kept.get(key)
    if (known !== undefined) return known
    const flight = flights.get(key) ?? takeOff(key, prepared)
    return wait(flight, signal)

    function takeOff(flightKey: string, asked: PreparedQuestion): Flight {
      const stop = new AbortController()
      const answer = asked.ask(stop.signal).then((result) => {
        const ttl = ttlMs(question, result)
        if (ttl > 0) kept.set(flightKey, result, { ttl })
        return result
      })
      const started: Flight = { answer, stop, waiting: 0 }
      flights.set(flightKey, started)
      const land = () => {
        if (flights.get(flightKey) === started) flights.delete(flightKey)
      }
      answer.then(land, land)
      return started
    }
  }

  /** A caller who gives up leaves the others their answer; the request stops when nobody waits any more. */
  function wait(flight: Flight, signal: AbortSignal): Promise<Answer> {
    flight.waiting++
    return new Promise((resolve, reject) => {
      const leave = () => {
        flight.waiting--
        if (flight.waiting === 0) flight.stop.abort(signal.reason)
        resolve({ outcome: 'timeout', detail: 'no answer in time' })
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      flight.answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
    })
  }
}

function ttlMs(question: Question, answer: Answer): number {
  if (answer.outcome === 'found') return isDigest(question.reference) ? digestTtlMs : tagTtlMs
  return answer.outcome === 'absent' || answer.outcome === 'denied' ? absentTtlMs : 0
}
