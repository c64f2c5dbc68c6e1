/** How much is under way, and when it is more than this process should take on. */

export interface Load {
  /** Takes a request on, or refuses it. `bytes`: its body, by its header. */
  begin(bytes: number): boolean
  end(bytes: number): void
  /** Milliseconds since the last request came in. */
  quietForMs(): number
}

/** An API server has 200 mutating requests in flight by default; three of them, twice over. */
const maxRequests = 1_200

/**
 * Bodies under way, in bytes. Parsed JSON takes about six times its text, so this is some 200 MB at the worst, and as many
 * 8 KB reviews as `maxRequests` allows take a fifth of it.
 */
const maxBytes = 48 * 1024 * 1024

/** Makes the account of one server. */
export function createLoad(now: () => number): Load {
  let requests = 0
  let bytes = 0
  let lastAt = now()
  return {
    begin: (more) => {
      lastAt = now()
      // A single review may always come: what is bounded is how many.
      if (requests > 0 && (requests >= maxRequests || bytes + more > maxBytes)) return false
      requests += 1
      bytes += more
      return true
    },
    end: (less) => {
      requests -= 1
      bytes -= less
    },
    quietForMs: () => now() - lastAt,
  }
}
