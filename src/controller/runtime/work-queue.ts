/** What is to be looked at, each name once however often it is added, what is urgent first. */

export interface WorkQueue {
  add(name: string, urgency: Urgency): void
  /** Adds it after so many milliseconds; of several such the first counts. */
  addLater(name: string, delayMs: number): void
  /** The next name; from then on it is held until `release`. Null when there is none. */
  take(): string | null
  /** Ends the hold. What was added meanwhile comes up again. `retry`: after a while, which doubles each time. */
  release(name: string, outcome: 'done' | 'retry'): void
  /** Settles when there may be something to take, or the signal aborts. */
  ready(signal: AbortSignal): Promise<void>
  /** Nothing waits and nothing is held; what was added for later may still come. */
  isIdle(): boolean
}

/** `urgent`: somebody waits for it, as for a new namespace; `ordinary`: one of many, as after a rotation. */
export type Urgency = 'urgent' | 'ordinary'

/** client-go's rate limiter for controllers begins sooner; a second is what a pod waits anyway (workqueue, DefaultTypedControllerRateLimiter). */
const backoff = { firstMs: 500, mostMs: 60_000 }

export function createWorkQueue(): WorkQueue {
  const waiting: Record<Urgency, Set<string>> = { urgent: new Set(), ordinary: new Set() }
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
    if (urgency === 'ordinary' && waiting.urgent.has(name)) return
    waiting.ordinary.delete(name)
    waiting[urgency].add(name)
    wake.resolve()
  }

  function addLater(name: string, delayMs: number): void {
    if (timers.has(name)) return
    const come = () => {
      timers.delete(name)
      add(name, 'ordinary')
    }
    timers.set(name, setTimeout(come, delayMs).unref())
  }

  return {
    add,
    take() {
      for (const urgency of ['urgent', 'ordinary'] as const) {
        for (const name of waiting[urgency]) {
          waiting[urgency].delete(name)
          held.set(name, null)
          return name
        }
      }
      return null
    },
    addLater,
    release(name, outcome) {
      const again = held.get(name) ?? null
      held.delete(name)
      if (outcome === 'done') {
        failures.delete(name)
        if (again !== null) add(name, again)
        return
      }
      // What changed meanwhile may have been our own doing: the delay holds.
      const count = failures.get(name) ?? 0
      failures.set(name, count + 1)
      addLater(name, Math.min(backoff.firstMs * 2 ** count, backoff.mostMs))
    },
    isIdle: () => waiting.urgent.size + waiting.ordinary.size + held.size === 0,
    async ready(signal) {
      if (waiting.urgent.size + waiting.ordinary.size > 0 || signal.aborted) return
      wake = Promise.withResolvers()
      const end = () => wake.resolve()
      signal.addEventListener('abort', end, { once: true })
      await wake.promise
      signal.removeEventListener('abort', end)
    },
  }
}
