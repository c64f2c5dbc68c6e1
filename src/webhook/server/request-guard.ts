/** What every request passes before anything is read of it: may its sender call, and is there room for one more. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ConcurrencyLimit } from './concurrency-limit.ts'

export interface RequestGuardOptions {
  readonly load: ConcurrencyLimit
  /** True while the process is leaving: callers are asked to come back on another connection. */
  readonly draining: () => boolean
  readonly mayCall: (request: IncomingMessage) => boolean
  readonly refuse: (response: ServerResponse, status: number, message: string) => void
}

/** True when the request may go on; else it has been answered. */
export type GuardRequest = (request: IncomingMessage, response: ServerResponse) => boolean

/** Takes each request on, sheds it with 503, or turns it away with 403. */
export function createRequestGuard({
  load,
  draining,
  mayCall,
  refuse,
}: RequestGuardOptions): GuardRequest {
  return (request, response) => {
    if (draining()) response.setHeader('connection', 'close')
    if (!load.begin()) {
      refuse(response, 503, 'too many reviews are under way')
      return false
    }
    // Comes once for every request, answered or not.
    response.once('close', () => load.end())
    if (mayCall(request)) return true
    refuse(response, 403, 'this client certificate may not call')
    return false
  }
}
