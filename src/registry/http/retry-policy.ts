/** Retries requests to one registry with exponential backoff, and waits as long as `Retry-After` asks. */
import { setTimeout as systemSleep } from 'node:timers/promises'
import { type Backoff, backoffMs } from '../../async/backoff.ts'
import { retryAfterSeconds } from './status.ts'
import type { SendResult } from './messages.ts'

export interface Clock {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>
  /** From 0 up to 1. */
  readonly random: () => number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (milliseconds, signal) => {
    await systemSleep(milliseconds, undefined, { signal })
  },
  random: () => Math.random(),
}

/** The retries of one registry. Each registry has its own policy, so that one registry's rate limit does not delay another. */
export interface RetryPolicy {
  /** Sends until a retry cannot help, the status is final, or the attempts are used up. Returns the last result. */
  send(
    attempt: () => Promise<SendResult>,
    signal: AbortSignal,
    finalStatus?: number,
  ): Promise<SendResult>
  /** Waits before a retry, after so many failures in a row. Waits at least as long as the registry last asked for. */
  backOff(failures: number, signal: AbortSignal): Promise<void>
  /** Returns true if the same request may succeed later. Remembers `Retry-After` for all later requests. */
  shouldRetry(result: SendResult): boolean
}

/** In line with the defaults of the AWS SDK and regclient: a short failure passes, and an outage does not cost minutes. */
export const maxAttempts = 5

/** Full jitter. */
const backoff: Backoff = { firstMs: 400, maxMs: 20_000, jitter: 1 }

/** A longer `Retry-After` fails the request: Docker Hub's limit lasts six hours. */
const maxRetryAfterMs = 10 * 60_000

/** Statuses after which a retry may succeed. 500: docker-registry sends it when its storage fails for a moment. */
const retryableStatuses: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])

export function createRetryPolicy({ now, sleep, random }: Clock): RetryPolicy {
  /** The end of the wait that the registry asked for. */
  let blockedUntil = 0

  const backOff = async (failures: number, signal: AbortSignal): Promise<void> => {
    const delay = backoffMs(backoff, failures, random())
    await sleep(Math.max(delay, blockedUntil - now()), signal)
  }
  const shouldRetry = (result: SendResult): boolean => {
    if (!result.ok) return ['unreachable', 'timeout'].includes(result.failure.outcome)
    const seconds = retryAfterSeconds(result.response, now)
    if (seconds !== null && seconds * 1000 > maxRetryAfterMs) return false
    if (seconds !== null) blockedUntil = Math.max(blockedUntil, now() + seconds * 1000)
    return retryableStatuses.has(result.response.status)
  }

  return {
    backOff,
    shouldRetry,
    async send(attempt, signal, finalStatus) {
      for (let failures = 1; ; failures++) {
        if (blockedUntil > now()) await sleep(blockedUntil - now(), signal)
        const result = await attempt()
        const isFinal = result.ok && result.response.status === finalStatus
        if (signal.aborted || isFinal || !shouldRetry(result) || failures === maxAttempts) {
          return result
        }
        discardBody(result)
        await backOff(failures, signal)
      }
    },
  }
}

function discardBody(result: SendResult): void {
  const stream = result.ok ? result.response.stream : null
  stream?.on('error', () => undefined).destroy()
}
