/**
 * Decides whether the cached answers of a registry may still be used. Without this, pods would get images of a mirror that has
 * just died for as long as its answers are fresh, and would not run although another registry has the image.
 */
import type { ManifestAnswer, ManifestSource } from './manifest-source.ts'

/** Times are milliseconds of a monotonic clock. A review takes the time once. */
export interface RegistryLiveness {
  /** Returns the same source, and notes which registries answer. */
  observe(source: ManifestSource): ManifestSource
  /** Returns false after a failed connection, and for a mirror that has not answered within `liveMs`. */
  readonly isLive: (host: string, now: number) => boolean
  /** Returns true if it is time to ask the registry again, so that it stays live. */
  readonly isLookDue: (host: string, now: number) => boolean
}

export interface RegistryLivenessOptions {
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Only mirrors are asked again: they are near, and nothing limits their requests. */
  readonly isMirror: (host: string) => boolean
}

/** How long a mirror is live after an answer. Pods that are created while it dies can be sent there for this long. */
const liveMs = 2_000

/** Half as long, so that a mirror that answers within a second stays live while pods are created. */
const lookIntervalMs = 1_000

export function createRegistryLiveness({
  now,
  isMirror,
}: RegistryLivenessOptions): RegistryLiveness {
  /** When each registry answered last; -Infinity after a failed connection. */
  const answeredAt = new Map<string, number>()
  const ageOf = (host: string, time: number) => time - (answeredAt.get(host) ?? time)

  const record = (host: string, answer: ManifestAnswer) => {
    if (saysNothing(answer)) return
    answeredAt.set(host, hasNoConnection(answer) ? -Infinity : now())
  }

  return {
    observe: (source) => ({
      isListed: (host) => source.isListed(host),
      isProbed: (host) => source.isProbed(host),
      prepare: async (query) => {
        const prepared = await source.prepare(query)
        return {
          credentialIdentity: prepared.credentialIdentity,
          send: async (signal) => {
            const answer = await prepared.send(signal)
            record(query.host, answer)
            return answer
          },
        }
      },
    }),
    // The age first: nearly always, it is enough.
    isLive: (host, time) => {
      const age = ageOf(host, time)
      return age < liveMs || (age < Infinity && !isMirror(host))
    },
    isLookDue: (host, time) => ageOf(host, time) >= lookIntervalMs && isMirror(host),
  }
}

function hasNoConnection(answer: ManifestAnswer): boolean {
  return answer.outcome !== 'found' && answer.hasNoConnection === true
}

/** A 5xx can be about one image, and a timeout about the time of the caller. */
function saysNothing(answer: ManifestAnswer): boolean {
  const isFailure = answer.outcome === 'unreachable' || answer.outcome === 'timeout'
  return isFailure && !hasNoConnection(answer)
}
