/**
 * Caches ECR tokens, one for each identity and region. There is no timer: a request for a token after half of its lifetime starts
 * a refresh, and does not wait for it while the token is valid.
 */
import type { EcrFailure } from './describe-aws-error.ts'
import { type EcrSettings, ecrTokenKey } from './ecr-settings.ts'
import { minRefreshMs, refreshDelayMs, retryDelayMs } from './ecr-token-refresh.ts'
import { type EcrToken, fetchEcrToken, type RoleChainDependencies } from './role-chain.ts'

/** The state of one identity and region. */
export interface EcrTokenState {
  /** The last token, while it is valid. */
  readonly token: EcrToken | null
  /** Why the last attempt failed; null if it did not. */
  readonly failure: EcrFailure | null
  /** When the next attempt is due, in milliseconds since the epoch. */
  readonly dueAt: number
}

export interface EcrTokenCache {
  /** Returns a valid token at once, and starts a refresh that is due. Waits only if there is no valid token. */
  current(settings: EcrSettings): Promise<EcrTokenState>
  /** Waits for a refresh that is due. */
  refreshed(settings: EcrSettings): Promise<EcrTokenState>
}

export interface EcrTokenCacheDependencies extends RoleChainDependencies {
  /** From 0 to 1. */
  readonly random: () => number
  /** Called for each failed attempt. The message contains no secret. */
  readonly onFailure?: (failure: EcrFailure) => void
}

interface Entry {
  token: EcrToken | null
  validUntil: number
  failure: EcrFailure | null
  /** Failures in a row. */
  failures: number
  dueAt: number
  refresh: Promise<void> | null
}

/** A process has one cache. */
export function createEcrTokenCache(dependencies: EcrTokenCacheDependencies): EcrTokenCache {
  const { now, random } = dependencies
  const entries = new Map<string, Entry>()

  const entryOf = (settings: EcrSettings): Entry => {
    const key = ecrTokenKey(settings)
    const known = entries.get(key)
    if (known !== undefined) return known
    const entry: Entry = {
      token: null,
      validUntil: 0,
      failure: null,
      failures: 0,
      dueAt: 0,
      refresh: null,
    }
    entries.set(key, entry)
    return entry
  }

  const fetchInto = async (entry: Entry, settings: EcrSettings): Promise<void> => {
    const result = await fetchEcrToken(dependencies, settings)
    const fetchedAt = now()
    if (!result.ok) {
      entry.failures += 1
      entry.failure = result.failure
      entry.dueAt = fetchedAt + retryDelayMs(entry.failures, random())
      dependencies.onFailure?.(result.failure)
      return
    }
    const { token } = result
    entry.token = token
    entry.failure = null
    entry.failures = 0
    entry.dueAt = fetchedAt + refreshDelayMs(token.expiresAt - fetchedAt, random())
    // A new token is valid, even if it states that it has expired: then one of the clocks is wrong.
    entry.validUntil = Math.max(token.expiresAt, entry.dueAt + minRefreshMs)
  }

  const refreshIfDue = (settings: EcrSettings): Entry => {
    const entry = entryOf(settings)
    if (entry.refresh === null && now() >= entry.dueAt) {
      entry.refresh = fetchInto(entry, settings).finally(() => {
        entry.refresh = null
      })
    }
    return entry
  }

  const stateOf = ({ token, validUntil, failure, dueAt }: Entry): EcrTokenState => ({
    token: now() < validUntil ? token : null,
    failure,
    dueAt,
  })

  return {
    async current(settings) {
      const entry = refreshIfDue(settings)
      if (stateOf(entry).token === null) await entry.refresh
      return stateOf(entry)
    },
    async refreshed(settings) {
      const entry = refreshIfDue(settings)
      await entry.refresh
      return stateOf(entry)
    },
  }
}
