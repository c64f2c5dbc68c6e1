/** Limits how many requests, and how many bytes of large bodies, the server holds at the same time. */

export interface ConcurrencyLimit {
  /** Counts a request; false when there are too many. */
  begin(): boolean
  end(): void
  /** Counts bytes of a large body as they arrive; false when there are too many. */
  reserve(bytes: number): boolean
  release(bytes: number): void
  /** Milliseconds since the last request began. */
  quietForMs(): number
}

/** An API server has 200 mutating requests in flight by default; this is three API servers, twice over. */
const maxRequests = 1_200

/** Smaller bodies are not counted by their bytes: `maxRequests` of them are 75 MiB. */
export const largeBytes = 64 * 1024

/** Bytes of all large bodies together. Parsed JSON takes about six times its text, so this is at most some 300 MB. */
const maxLargeBytes = 48 * 1024 * 1024

/** Creates the limit of one server. Only bytes that have arrived count: announcing a large body costs others nothing. */
export function createConcurrencyLimit(now: () => number): ConcurrencyLimit {
  let requests = 0
  let bytes = 0
  let lastBegin = now()
  return {
    begin: () => {
      lastBegin = now()
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
    quietForMs: () => now() - lastBegin,
  }
}
