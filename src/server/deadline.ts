import type { FastifyReply, FastifyRequest } from 'fastify'
import { budgetMs, type LazySignal } from '../resolve/budget.ts'

/** When the work for one review has to stop. Nothing is set up before somebody asks for the signal. */
export interface Deadline {
  readonly signal: LazySignal
  end(): void
}

/** From the `timeout` in the query, or earlier, when the caller has gone. */
export function createDeadline(request: FastifyRequest, reply: FastifyReply): Deadline {
  let running: { readonly stop: AbortController; readonly timer: NodeJS.Timeout } | null = null
  const callerGone = () => running?.stop.abort()
  return {
    signal: () => {
      if (running === null) {
        const stop = new AbortController()
        const { timeout } = request.query as { readonly timeout?: unknown }
        running = { stop, timer: setTimeout(() => stop.abort(), budgetMs(timeout)) }
        reply.raw.once('close', callerGone)
      }
      return running.stop.signal
    },
    end: () => {
      clearTimeout(running?.timer)
      reply.raw.off('close', callerGone)
    },
  }
}
