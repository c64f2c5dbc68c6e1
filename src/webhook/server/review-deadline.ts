/** The deadline of a review: the signal that stops the work for it. */
import type { ServerResponse } from 'node:http'
import { startTimeout } from '../../async/timeout.ts'
import { budgetMs, type LazySignal } from '../../decision/resolve/budget.ts'

export interface ReviewDeadline {
  /** Creates the signal on first use, so that a review that waits for nothing costs no timer. */
  readonly signal: LazySignal
  /** Stops the timer. */
  end(): void
}

/** The signal aborts at the `timeout` in the query of the URL, and when the caller closes the connection. */
export function createDeadline(url: string, response: ServerResponse): ReviewDeadline {
  let started: { readonly controller: AbortController; readonly stop: () => void } | null = null
  const onClose = () => started?.controller.abort()
  return {
    signal: () => {
      if (started === null) {
        const controller = new AbortController()
        started = { controller, stop: startTimeout(budgetMs(timeoutOf(url)), onClose) }
        response.once('close', onClose)
      }
      return started.controller.signal
    },
    end: () => {
      if (started === null) return
      started.stop()
      response.off('close', onClose)
    },
  }
}

/** Ignores a parameter that is repeated. */
function timeoutOf(url: string): string | undefined {
  const timeouts = new URLSearchParams(url.slice(url.indexOf('?') + 1)).getAll('timeout')
  return timeouts.length === 1 ? timeouts[0] : undefined
}
