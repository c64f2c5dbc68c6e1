/**
 * Lets large jobs share the event loop with everything else. A job does its work in turns of a few milliseconds, with a pause
 * of twice its length after each turn, so that small requests are answered meanwhile.
 */
export interface Lane {
  /** Resolves when the next turn of the caller begins. Callers get their turns in the order of their calls. */
  next(): Promise<void>
  /** True when the current turn has lasted long enough, and the job must call `next` before it goes on. */
  isOver(): boolean
}

/** A request that arrives during a turn waits at most this long, or until a step that cannot be divided ends. */
const turnMs = 5

/** In lengths of the turn. Large pods get at most a third of the time, so that requests that arrive during a turn are answered in the pause. */
const pausePerTurn = 2

/** Twice the longest indivisible step, which is parsing 8 MiB. Longer pauses only delay the pod. */
const maxPauseMs = 200

/** The shortest time that a timer waits. */
const minPauseMs = 1

/** Creates a lane. `now` is in milliseconds of a monotonic clock. */
export function createLane(now: () => number = () => performance.now()): Lane {
  const waiting: (() => void)[] = []
  let isScheduled = false
  let startedAt = -Infinity
  /** The pause that short turns have left to a later one: a pod that needs no more than these does not wait for a timer. */
  let owedMs = 0

  function beginTurn(): void {
    startedAt = now()
    waiting.shift()?.()
    // The work of the turn runs before this callback.
    setImmediate(() => {
      isScheduled = waiting.length > 0
      if (!isScheduled) return
      owedMs = Math.min(owedMs + pausePerTurn * (now() - startedAt), maxPauseMs)
      if (owedMs < minPauseMs) setImmediate(beginTurn)
      else {
        setTimeout(beginTurn, owedMs)
        owedMs = 0
      }
    })
  }

  return {
    next: () =>
      new Promise((resolve) => {
        waiting.push(resolve)
        if (isScheduled) return
        isScheduled = true
        setImmediate(beginTurn)
      }),
    isOver: () => now() - startedAt >= turnMs,
  }
}

/** A lane for one job, which someone else can stop. */
export interface StoppableLane extends Lane {
  /** Stops the turns of the job: its next call of `next` never resolves. */
  stop(): void
}

export function stoppableLane(lane: Lane): StoppableLane {
  let isStopped = false
  return {
    next: () => (isStopped ? new Promise(() => undefined) : lane.next()),
    isOver: () => isStopped || lane.isOver(),
    stop: () => {
      isStopped = true
    },
  }
}
