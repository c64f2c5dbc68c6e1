/** A queue of names to process: each name is queued once, urgent names come first and retries last. */
import { onAbort } from '../../async/abort.ts'

export interface WorkQueue {
  add(name: string, urgency: Urgency): void
  /** Adds the name as a retry after so many milliseconds. Of several calls, the earliest time counts. */
  addLater(name: string, delayMs: number): void
  /** Returns the next name, which is held until `release`; null if the queue is empty. */
  next(): string | null
  /** Ends the hold. Queues the name again if it was added during the hold. */
  release(name: string): void
  /** Resolves when a name may be queued, or when the signal aborts. */
  ready(signal: AbortSignal): Promise<void>
  /** Returns whether no name is queued or held; timers may still be running. */
  isIdle(): boolean
}

/** From first to last. `urgent`: someone waits for it, as for a new namespace; `ordinary`: one of many, as after a rotation. */
const urgencies = ['urgent', 'ordinary', 'retry'] as const
export type Urgency = (typeof urgencies)[number]

interface Timer {
  readonly at: number
  readonly timeout: NodeJS.Timeout
}

export function createWorkQueue(): WorkQueue {
  const queued: Record<Urgency, Set<string>> = {
    urgent: new Set(),
    ordinary: new Set(),
    retry: new Set(),
  }
  /** The names on hold, each with the urgency of what was added during the hold. */
  const held = new Map<string, Urgency | null>()
  const timers = new Map<string, Timer>()
  let wake = Promise.withResolvers<void>()

  function add(name: string, urgency: Urgency): void {
    if (held.has(name)) {
      held.set(name, moreUrgent(held.get(name) ?? null, urgency))
      return
    }
    const before = urgencies.find((each) => queued[each].has(name)) ?? null
    if (before !== null && moreUrgent(before, urgency) === before) return
    if (before !== null) queued[before].delete(name)
    queued[urgency].add(name)
    wake.resolve()
  }

  function addLater(name: string, delayMs: number): void {
    const at = performance.now() + delayMs
    const before = timers.get(name)
    if (before !== undefined && before.at <= at) return
    clearTimeout(before?.timeout)
    const onTimer = () => {
      timers.delete(name)
      add(name, 'retry')
    }
    timers.set(name, { at, timeout: setTimeout(onTimer, delayMs).unref() })
  }

  const isEmpty = () => urgencies.every((urgency) => queued[urgency].size === 0)

  return {
    add,
    addLater,
    next() {
      for (const urgency of urgencies) {
        for (const name of queued[urgency]) {
          queued[urgency].delete(name)
          held.set(name, null)
          return name
        }
      }
      return null
    },
    release(name) {
      const meanwhile = held.get(name) ?? null
      held.delete(name)
      if (meanwhile !== null) add(name, meanwhile)
    },
    isIdle: () => isEmpty() && held.size === 0,
    async ready(signal) {
      if (!isEmpty()) return
      wake = Promise.withResolvers()
      const removeListener = onAbort(signal, () => wake.resolve())
      await wake.promise
      removeListener()
    },
  }
}

function moreUrgent(one: Urgency | null, other: Urgency): Urgency {
  if (one === null) return other
  return urgencies.indexOf(one) <= urgencies.indexOf(other) ? one : other
}
