/**
 * Says when a task may run again. A task that fails waits longer after each failure. A task that succeeds again and again
 * waits too, because another writer reverts it: two controllers that disagree must not keep the API server busy.
 */
import { type Backoff, backoffMs } from '../../async/backoff.ts'

export interface TaskBackoff {
  /** Returns the milliseconds until the task may run; 0 for now. */
  delayMs(id: string): number
  recordSuccess(id: string): void
  recordFailure(id: string, failure: TaskFailure): void
  /** Returns the last failure of a task that has not succeeded since; null if there is none. */
  failure(id: string): TaskFailure | null
}

export interface TaskFailure {
  /** Why a retry alone does not help; null for a failure that may pass. */
  readonly reason: string | null
  /** The minimum time until the next attempt, in milliseconds. */
  readonly retryAfterMs: number
}

/** client-go starts sooner (workqueue, DefaultTypedControllerRateLimiter), but a pod waits for a second anyway. */
const failureBackoff: Backoff = { firstMs: 500, maxMs: 300_000 }

const immediateSuccesses = 3

/** Grows from seconds to minutes, as the kubelet's delays between pulls do. */
const revertBackoff: Backoff = { firstMs: 5_000, maxMs: 600_000 }

/** A task that did not run for this long starts over. */
const forgetMs = 1_800_000

interface TaskHistory {
  readonly successes: number
  /** In a row. */
  readonly failures: number
  readonly failure: TaskFailure | null
  readonly last: number
}

const none: TaskHistory = { successes: 0, failures: 0, failure: null, last: 0 }

/** `now`: milliseconds of a clock that never goes back. `backoff`: for failures. */
export function createTaskBackoff(now: () => number, backoff = failureBackoff): TaskBackoff {
  const tasks = new Map<string, TaskHistory>()

  function record(id: string, change: (before: TaskHistory) => Omit<TaskHistory, 'last'>): void {
    for (const [other, { last }] of tasks) {
      if (now() - last < forgetMs) break
      tasks.delete(other)
    }
    const before = tasks.get(id) ?? none
    // Deleted first, so that the map stays in the order of the last runs.
    tasks.delete(id)
    tasks.set(id, { ...change(before), last: now() })
  }

  function waitMs({ successes, failures, failure }: TaskHistory): number {
    if (failure !== null) return Math.max(failure.retryAfterMs, backoffMs(backoff, failures))
    if (successes < immediateSuccesses) return 0
    return backoffMs(revertBackoff, successes - immediateSuccesses + 1)
  }

  return {
    delayMs(id) {
      const task = tasks.get(id)
      return task === undefined ? 0 : Math.max(0, task.last + waitMs(task) - now())
    },
    recordSuccess: (id) =>
      record(id, ({ successes }) => ({ successes: successes + 1, failures: 0, failure: null })),
    recordFailure: (id, failure) =>
      record(id, ({ successes, failures }) => ({ successes, failures: failures + 1, failure })),
    failure: (id) => tasks.get(id)?.failure ?? null,
  }
}
