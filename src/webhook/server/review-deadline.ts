/** The deadline of a review: the signal that stops the work for it. */
import type { ServerResponse } from 'node:http'
import { budgetMs, type LazySignal } from '../../decision/resolve/budget.ts'

export interface ReviewDeadline {
  /** Creates the signal on first use, so that a review that waits for nothing costs no timer. */
  readonly signal: LazySignal
  /** Stops the timer. */
  end(): void
}

/** The signal aborts at the `timeout` in the query of the URL, and when the caller closes the connection. */
export function createDeadline(url: string, response: ServerResponse): ReviewDeadline {
  let started: { readonly controller: AbortController; readonly timer: NodeJS.Timeout } | null =
    null
  const onClose = () => started?.controller.abort()
  return {
    signal: () => {
      if (started === null) {
        const controller = new AbortController()
        started = { controller, timer: setTimeout(onClose, budgetMs(timeoutOf(url))) }
        response.once('close', onClose)
      }
      return started.controller.signal
    },
    end: () => {
      if (started === null) return
      clearTimeout(started.timer)
      response.off('close', onClose)
    },
  }
}

/** Ignores a parameter that is repeated. */
function timeoutOf(url: string): string | undefined {
  const timeouts = new URLSearchParams(url.slice(url.indexOf('?') + 1)).getAll('timeout')
  return timeouts.length === 1 ? timeouts[0] : undefined
}
