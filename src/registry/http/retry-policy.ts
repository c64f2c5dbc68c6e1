/** Trying again: what is worth it, how long to wait, and how long a registry has asked to be left alone. */
import { setTimeout as systemSleep } from 'node:timers/promises'
import type { HttpResponse, SendResult } from './transport.ts'
import { retryAfterSeconds } from './status.ts'

export interface Clock {
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

/** One for each registry, so that nobody waits for another one's limit. */
export interface RetryPolicy {
  /** Sends until the answer is final, or has been asked for often enough; the last answer is given back as it is. */
  send(make: () => Promise<SendResult>, signal: AbortSignal): Promise<SendResult>
  /** Waits before a new try of work that has failed `failures` times, at least as long as the registry asked for. */
  backOff(failures: number, signal: AbortSignal): Promise<void>
  /** What an answer says about waiting, for whoever sends by itself. True: the same may work later. */
  shouldRetry(sent: SendResult): boolean
}

/** As often as the AWS SDK's and regclient's defaults together suggest: a blip passes, an outage does not cost minutes. */
export const maxAttempts = 5

/** Full jitter between nothing and this, doubled with each failure. */
const firstDelayMs = 400
const maxDelayMs = 20_000

/** A registry that wants to be left alone for longer has said no, for this run: Docker Hub's limit is over six hours. */
const longestWaitMs = 10 * 60_000

/** Answers that say "later"; 500 as well, because docker-registry gives it when its storage stumbles. */
const passing: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])

export function createRetryPolicy(clock: Clock): RetryPolicy {
  const { now, sleep, random } = clock
  /** Until when the registry asked to be left alone. */
  let closedUntil = 0

  const backOff = async (failures: number, signal: AbortSignal): Promise<void> => {
    const ceiling = Math.min(maxDelayMs, firstDelayMs * 2 ** (failures - 1))
    await sleep(Math.max(random() * ceiling, closedUntil - now()), signal)
  }
  const shouldRetry = (sent: SendResult): boolean => {
    if (!sent.ok)
      return sent.failure.outcome === 'unreachable' || sent.failure.outcome === 'timeout'
    const seconds = retryAfterSeconds(sent.response, now)
    if (seconds !== null && seconds * 1000 > longestWaitMs) return false
    if (seconds !== null) closedUntil = Math.max(closedUntil, now() + seconds * 1000)
    return passing.has(sent.response.status)
  }

  return {
    backOff,
    shouldRetry,
    async send(make, signal) {
      for (let failures = 1; ; failures++) {
        if (closedUntil > now()) await sleep(closedUntil - now(), signal)
        const sent = await make()
        if (signal.aborted || !shouldRetry(sent) || failures === maxAttempts) return sent
        discard(sent)
        await backOff(failures, signal)
      }
    },
  }
}

function discard(sent: SendResult): void {
  const response: HttpResponse | null = sent.ok ? sent.response : null
  response?.stream?.on('error', () => undefined).destroy()
}
