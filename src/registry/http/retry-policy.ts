/** Trying again: what is worth it, how long to wait, and how long a registry has asked to be left alone. */
import { setTimeout as systemSleep } from 'node:timers/promises'
import type { Reply, Sent } from './transport.ts'
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
  send(make: () => Promise<Sent>, signal: AbortSignal): Promise<Sent>
  /** Waits before a new try of work that has failed `failures` times, at least as long as the registry asked for. */
  pause(failures: number, signal: AbortSignal): Promise<void>
  /** What an answer says about waiting, for whoever sends by itself. True: the same may work later. */
  heed(sent: Sent): boolean
}

/** As often as the AWS SDK's and regclient's defaults together suggest: a blip passes, an outage does not cost minutes. */
export const maxTries = 5

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

  const pause = async (failures: number, signal: AbortSignal): Promise<void> => {
    const ceiling = Math.min(maxDelayMs, firstDelayMs * 2 ** (failures - 1))
    await sleep(Math.max(random() * ceiling, closedUntil - now()), signal)
  }
  const heed = (sent: Sent): boolean => {
    if (!sent.ok) return sent.answer.outcome === 'unreachable' || sent.answer.outcome === 'timeout'
    const seconds = retryAfterSeconds(sent.reply, now)
    if (seconds !== null && seconds * 1000 > longestWaitMs) return false
    if (seconds !== null) closedUntil = Math.max(closedUntil, now() + seconds * 1000)
    return passing.has(sent.reply.status)
  }

  return {
    pause,
    heed,
    async send(make, signal) {
      for (let failures = 1; ; failures++) {
        if (closedUntil > now()) await sleep(closedUntil - now(), signal)
        const sent = await make()
        if (signal.aborted || !heed(sent) || failures === maxTries) return sent
        discard(sent)
        await pause(failures, signal)
      }
    },
  }
}

function discard(sent: Sent): void {
  const reply: Reply | null = sent.ok ? sent.reply : null
  reply?.stream?.on('error', () => undefined).destroy()
}
