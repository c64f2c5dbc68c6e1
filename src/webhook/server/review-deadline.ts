import type { IncomingMessage, ServerResponse } from 'node:http'
import { budgetMs, type LazySignal } from '../../decision/resolve/budget.ts'

/** When the work for one review has to stop. Nothing is set up before somebody asks for the signal. */
export interface Deadline {
  readonly signal: LazySignal
  end(): void
}

/** From the `timeout` in the query, or earlier, when the caller has gone. */
export function createDeadline({ url = '' }: IncomingMessage, response: ServerResponse): Deadline {
  let running: { readonly stop: AbortController; readonly timer: NodeJS.Timeout } | null = null
  const callerGone = () => running?.stop.abort()
  return {
    signal: () => {
      if (running === null) {
        const stop = new AbortController()
        running = { stop, timer: setTimeout(() => stop.abort(), budgetMs(timeoutIn(url))) }
        response.once('close', callerGone)
      }
      return running.stop.signal
    },
    end: () => {
      if (running === null) return
      clearTimeout(running.timer)
      response.off('close', callerGone)
    },
  }
}

/** What is said twice is not said. */
function timeoutIn(url: string): string | undefined {
  const given = new URLSearchParams(url.slice(url.indexOf('?') + 1)).getAll('timeout')
  return given.length === 1 ? given[0] : undefined
}
