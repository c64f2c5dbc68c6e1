/** Sends the changes of the console to its pages as server-sent events (HTML, "Server-sent events"). */
import type { ServerResponse } from 'node:http'
import type { Live } from '../live.ts'
import { responseHeaders } from './request-guard.ts'

export interface EventStreams {
  /** Returns false if there are too many streams; then nothing was sent. */
  open(response: ServerResponse): boolean
  close(): void
}

/** A person has a few tabs. */
const maxStreams = 16

/** Bytes that all pages have not read yet. A full list of 10,000 images has 6 MB. */
const maxBacklog = 32 * 1024 * 1024

/** Shorter than the timeouts of proxies, in milliseconds. */
const heartbeatMs = 15_000

/** Creates the streams of one console. A page that reads too slowly is disconnected. */
export function createEventStreams(live: Pick<Live, 'subscribe'>): EventStreams {
  const open = new Set<ServerResponse>()
  const backlog = () => [...open].reduce((sum, { writableLength }) => sum + writableLength, 0)
  return {
    open(response) {
      if (open.size >= maxStreams) return false
      open.add(response)
      response.writeHead(200, {
        ...responseHeaders,
        'content-type': 'text/event-stream',
        // Without this, nginx collects events before it sends them (ngx_http_proxy_module, proxy_buffering).
        'x-accel-buffering': 'no',
      })
      const write = (text: string) => {
        // The page connects again, and gets everything.
        if (response.writableLength > 0 && backlog() > maxBacklog) response.destroy()
        else response.write(text)
      }
      const unsubscribe = live.subscribe((name, json) => write(`event: ${name}\ndata: ${json}\n\n`))
      const heartbeat = setInterval(() => write(': \n\n'), heartbeatMs)
      response.once('close', () => {
        clearInterval(heartbeat)
        unsubscribe()
        open.delete(response)
      })
      return true
    },
    close: () => {
      for (const response of open) response.destroy()
    },
  }
}
