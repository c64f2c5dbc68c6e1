/** A queue of names to process: each name is queued once, urgent names come first. */
import { type Backoff, backoffMs } from '../../async/backoff.ts'
import { onAbort } from '../../async/abort.ts'

export interface WorkQueue {
  add(name: string, urgency: Urgency): void
  /** Adds the name after so many milliseconds. While such a timer runs, further calls have no effect. */
  addLater(name: string, delayMs: number): void
  /** Returns the next name, which is held until `release`; null if the queue is empty. */
  next(): string | null
  /** Ends the hold. A name that was added meanwhile is queued again; `retry` queues it after a growing delay. */
  release(name: string, outcome: 'done' | 'retry'): void
  /** Resolves when a name may be queued, or when the signal aborts. */
  ready(signal: AbortSignal): Promise<void>
  /** Returns whether no name is queued or held; timers may still be running. */
  isIdle(): boolean
}

/** `urgent`: someone waits for it, as for a new namespace; `ordinary`: one of many, as after a rotation. */
export type Urgency = 'urgent' | 'ordinary'

/** client-go starts sooner (workqueue, DefaultTypedControllerRateLimiter), but a pod waits for a second anyway. */
const backoff: Backoff = { firstMs: 500, maxMs: 60_000 }

export function createWorkQueue(): WorkQueue {
  const queued: Record<Urgency, Set<string>> = { urgent: new Set(), ordinary: new Set() }
  /** With the urgency of what was added meanwhile. */
  const held = new Map<string, Urgency | null>()
  const failures = new Map<string, number>()
  const timers = new Map<string, NodeJS.Timeout>()
  let wake = Promise.withResolvers<void>()

  function add(name: string, urgency: Urgency): void {
    const meanwhile = held.get(name)
    if (meanwhile !== undefined) {
      held.set(name, meanwhile === 'urgent' ? 'urgent' : urgency)
      return
    }
    if (urgency === 'ordinary' && queued.urgent.has(name)) return
    queued.ordinary.delete(name)
    queued[urgency].add(name)
    wake.resolve()
  }

  function addLater(name: string, delayMs: number): void {
    if (timers.has(name)) return
    const onTimer = () => {
      timers.delete(name)
      add(name, 'ordinary')
    }
    timers.set(name, setTimeout(onTimer, delayMs).unref())
  }

  const isEmpty = () => queued.urgent.size + queued.ordinary.size === 0

  return {
    add,
    next() {
      for (const urgency of ['urgent', 'ordinary'] as const) {
        for (const name of queued[urgency]) {
          queued[urgency].delete(name)
          held.set(name, null)
          return name
        }
      }
      return null
    },
    addLater,
    release(name, outcome) {
      const meanwhile = held.get(name) ?? null
      held.delete(name)
      if (outcome === 'done') {
        failures.delete(name)
        if (meanwhile !== null) add(name, meanwhile)
        return
      }
      // A change meanwhile may be Berth's own write, so it does not shorten the delay.
      const count = (failures.get(name) ?? 0) + 1
      failures.set(name, count)
      addLater(name, backoffMs(backoff, count))
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
