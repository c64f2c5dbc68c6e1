import type { ServerResponse } from 'node:http'

/** Answers with a status and one line that says why; what has been answered or cut off already stays as it is. */
export function sendError(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent || response.destroyed) return
  const text = `${message}\n`
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  }
  response.writeHead(status, headers).end(text)
}
