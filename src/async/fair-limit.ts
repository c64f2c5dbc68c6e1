/** Limits concurrent work, in total and for each key, and gives free slots to the keys in turn. */
import { onAbort } from './abort.ts'

export interface FairLimit {
  /** Resolves to true when the caller has a slot, which it must release; to false when the signal aborts first. */
  acquire(key: string, signal: AbortSignal): Promise<boolean>
  release(key: string): void
}

export interface FairLimitOptions {
  readonly max: number
  readonly maxPerKey: number
}

interface Slots {
  running: number
  /** In the order of arrival. */
  readonly waiting: Set<() => void>
}

/** Creates a limit. It forgets a key that has neither running nor waiting work. */
export function createFairLimit({ max, maxPerKey }: FairLimitOptions): FairLimit {
  let running = 0
  /** The key that got a slot last is at the end. */
  const slotsByKey = new Map<string, Slots>()

  function grantFreeSlots(): void {
    // A Map also iterates over entries that the loop appends, so a key can get several slots, in turn with the others.
    for (const [key, slots] of slotsByKey) {
      if (running >= max) return
      const [next] = slots.waiting
      if (next === undefined || slots.running >= maxPerKey) continue
      slots.waiting.delete(next)
      slots.running += 1
      running += 1
      slotsByKey.delete(key)
      slotsByKey.set(key, slots)
      next()
    }
  }

  function slotsOf(key: string): Slots {
    const known = slotsByKey.get(key)
    if (known !== undefined) return known
    const created: Slots = { running: 0, waiting: new Set() }
    slotsByKey.set(key, created)
    return created
  }

  function forgetIfIdle(key: string, { running: own, waiting }: Slots): void {
    if (own === 0 && waiting.size === 0) slotsByKey.delete(key)
  }

  return {
    acquire: (key, signal) => {
      if (signal.aborted) return Promise.resolve(false)
      const slots = slotsOf(key)
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const removeListener = onAbort(signal, () => {
        slots.waiting.delete(grant)
        forgetIfIdle(key, slots)
        resolve(false)
      })
      const grant = () => {
        removeListener()
        resolve(true)
      }
      slots.waiting.add(grant)
      grantFreeSlots()
      return promise
    },
    release: (key) => {
      const slots = slotsOf(key)
      slots.running -= 1
      running -= 1
      forgetIfIdle(key, slots)
      grantFreeSlots()
    },
  }
}
