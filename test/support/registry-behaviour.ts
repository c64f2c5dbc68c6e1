/** The failures that the fake registry can produce. */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'

export interface LoggedRequest {
  /** The registry or its token server, which may be the same server. */
  readonly server: 'registry' | 'token'
  readonly method: string
  /** Path and query, as on the wire. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

export interface NormalAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Buffer
}

export interface Behaviour {
  readonly status?: number
  /** Headers that are added or replaced; null removes one. */
  readonly headers?: Readonly<Record<string, string | string[] | null>>
  readonly body?: string | Buffer
  readonly delayMs?: number
  /** Sends nothing more from this point. */
  readonly hang?: 'before-headers' | 'mid-body'
  /** Sends one byte every few milliseconds, without an end. */
  readonly drip?: true
  /** Sends data as fast as possible, without an end. */
  readonly endless?: true
  /** Sends a compressed body that is a thousand times larger when decompressed. */
  readonly gzipBomb?: true
  /** Sends half of the body, then closes the connection. */
  readonly cut?: true
  /** Sends only these bytes, instead of HTTP. */
  readonly raw?: string | Buffer
}

/** Responds with the given failure. Parts that it leaves out are those of the usual response. */
export function misbehave(
  response: ServerResponse,
  request: LoggedRequest,
  how: Behaviour,
  usual: () => NormalAnswer,
): void {
  if (how.hang === 'before-headers') return
  if (how.raw !== undefined) {
    response.socket?.end(how.raw)
  } else if (how.delayMs === undefined) {
    respond(response, request, how, usual())
  } else {
    const timer = setTimeout(() => respond(response, request, how, usual()), how.delayMs)
    response.on('close', () => clearTimeout(timer))
  }
}

function respond(
  response: ServerResponse,
  request: LoggedRequest,
  how: Behaviour,
  usual: NormalAnswer,
): void {
  const body = how.body === undefined ? bombOr(how, usual.body) : Buffer.from(how.body)
  const isTold = how.body !== undefined || how.status !== undefined
  const headers = isTold ? { 'content-length': String(body.length) } : usual.headers
  const isUnbounded = how.drip === true || how.endless === true || how.gzipBomb === true
  response.statusCode = how.status ?? usual.status
  for (const [name, value] of Object.entries({ ...headers, ...how.headers })) {
    if (value === null || (isUnbounded && name === 'content-length')) continue
    response.setHeader(name, value)
  }
  if (how.gzipBomb) response.setHeader('content-encoding', 'gzip')
  if (request.method === 'HEAD') response.end()
  else send(response, how, body)
}

/** An error response of a registry: a status and a code. */
export function errorAnswer(status: number, code: string, headers = {}): NormalAnswer {
  const body = Buffer.from(JSON.stringify({ errors: [{ code, message: 'UNTRUSTED TEXT' }] }))
  return {
    status,
    headers: {
      'content-type': 'application/json',
      'content-length': String(body.length),
      ...headers,
    },
    body,
  }
}

function bombOr(how: Behaviour, body: Buffer): Buffer {
  // 64 MiB of zeros are 64 KiB of gzip.
  return how.gzipBomb ? gzipSync(Buffer.alloc(64 * 1024 * 1024)) : body
}

function send(response: ServerResponse, how: Behaviour, body: Buffer): void {
  const half = body.subarray(0, Math.floor(body.length / 2))
  if (how.hang === 'mid-body') response.write(half)
  else if (how.cut) response.write(half, () => response.destroy())
  else if (how.drip) drip(response)
  else if (how.endless) pour(response)
  else response.end(body)
}

function drip(response: ServerResponse): void {
  const timer = setInterval(() => response.write(' '), 5)
  response.on('close', () => clearInterval(timer))
}

function pour(response: ServerResponse): void {
  const chunk = Buffer.alloc(64 * 1024, ' ')
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', more)
  more()
}
