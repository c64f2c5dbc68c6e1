/** How much is under way, and when it is more than this process should take on. */

export interface ConcurrencyLimit {
  /** Takes a request on, or refuses it. */
  begin(): boolean
  end(): void
  /** Counts bytes of a large body as they arrive; false when they are too many. */
  reserve(bytes: number): boolean
  release(bytes: number): void
  /** Milliseconds since the last request came in. */
  quietForMs(): number
}

/** An API server has 200 mutating requests in flight by default; three of them, twice over. */
const maxRequests = 1_200

/** A body below this is not counted by its bytes: as many of them as `maxRequests` allows are 75 MiB. */
export const largeBytes = 64 * 1024

/** Large bodies under way. Parsed JSON takes about six times its text, so this is some 200 MB at the worst. */
const maxLargeBytes = 48 * 1024 * 1024

/** Makes the account of one server. What is counted has arrived: announcing a large body costs nobody anything. */
export function createConcurrencyLimit(now: () => number): ConcurrencyLimit {
  let requests = 0
  let bytes = 0
  let lastAt = now()
  return {
    begin: () => {
      lastAt = now()
      if (requests >= maxRequests) return false
      requests += 1
      return true
    },
    end: () => {
      requests -= 1
    },
    reserve: (more) => {
      if (bytes + more > maxLargeBytes) return false
      bytes += more
      return true
    },
    release: (less) => {
      bytes -= less
    },
    quietForMs: () => now() - lastAt,
  }
}
