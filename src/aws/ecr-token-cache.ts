/**
 * Tokens of ECR, one for each identity and region however many registries, namespaces and questions there are. They are
 * fetched when somebody asks, and again when somebody asks after half of their life: nothing runs on its own, and
 * whoever asks for a token that is still good never waits.
 */
import type { EcrFailure } from './describe-aws-error.ts'
import { type RoleChainDependencies, type EcrToken, fetchEcrToken } from './role-chain.ts'
import { minRefreshMs, refreshDelayMs, retryDelayMs } from './ecr-token-refresh.ts'
import { type EcrSettings, ecrTokenKey } from './ecr-settings.ts'

/** What is known of one identity and region. */
export interface EcrTokenState {
  /** The last token that came, while it is good. */
  readonly token: EcrToken | null
  /** Why the last attempt failed; null when it did not. */
  readonly failure: EcrFailure | null
  /** When the next attempt is due, in milliseconds since 1970. */
  readonly dueAt: number
}

export interface EcrTokenCache {
  /** The token, at once while there is a good one; refreshes it behind the caller's back when that is due. */
  current(settings: EcrSettings): Promise<EcrTokenState>
  /** The same, but waits for a refresh that is due. */
  refreshed(settings: EcrSettings): Promise<EcrTokenState>
}

export interface EcrTokenCacheDependencies extends RoleChainDependencies {
  /** From 0 to 1. */
  readonly random: () => number
  /** Told of each attempt that failed. The message holds no secret. */
  readonly onFailure?: (failure: EcrFailure) => void
}

interface Entry {
  token: EcrToken | null
  /** Until when the token is given out. */
  goodUntil: number
  failure: EcrFailure | null
  failures: number
  dueAt: number
  flight: Promise<void> | null
}

/** Makes the store of one process. */
export function createEcrTokenCache(dependencies: EcrTokenCacheDependencies): EcrTokenCache {
  const { now, random } = dependencies
  const entries = new Map<string, Entry>()

  const entryOf = (settings: EcrSettings): Entry => {
    const key = ecrTokenKey(settings)
    const known = entries.get(key)
    if (known !== undefined) return known
    const made: Entry = {
      token: null,
      goodUntil: 0,
      failure: null,
      failures: 0,
      dueAt: 0,
      flight: null,
    }
    entries.set(key, made)
    return made
  }

  const fetchInto = async (entry: Entry, settings: EcrSettings): Promise<void> => {
    const result = await fetchEcrToken(dependencies, settings)
    const at = now()
    if (!result.ok) {
      entry.failures += 1
      entry.failure = result.failure
      entry.dueAt = at + retryDelayMs(entry.failures, random())
      dependencies.onFailure?.(result.failure)
      return
    }
    const { token } = result
    entry.token = token
    entry.failure = null
    entry.failures = 0
    entry.dueAt = at + refreshDelayMs(token.expiresAt - at, random())
    // A token that came this moment is good, even if it says that it has ended: then one of the clocks is wrong.
    entry.goodUntil = Math.max(token.expiresAt, entry.dueAt + minRefreshMs)
  }

  /** Starts a refresh that is due, unless one is under way. */
  const touch = (settings: EcrSettings): Entry => {
    const entry = entryOf(settings)
    if (entry.flight === null && now() >= entry.dueAt) {
      entry.flight = fetchInto(entry, settings).finally(() => {
        entry.flight = null
      })
    }
    return entry
  }

  const stateOf = ({ token, goodUntil, failure, dueAt }: Entry): EcrTokenState => ({
    token: now() < goodUntil ? token : null,
    failure,
    dueAt,
  })

  return {
    async current(settings) {
      const entry = touch(settings)
      if (stateOf(entry).token === null) await entry.flight
      return stateOf(entry)
    },
    async refreshed(settings) {
      const entry = touch(settings)
      await entry.flight
      return stateOf(entry)
    },
  }
}
