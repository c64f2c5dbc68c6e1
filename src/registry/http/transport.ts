/** Sends HTTP requests for one registry: redirects, TLS, and limits on size, time and connections. */
import type { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'
import { rejectOnAbort } from '../../async/abort.ts'
import { createConnector, type ConnectorOptions } from './connector.ts'
import { failed, failureForError, type RequestFailure } from './network-error.ts'
import { displayHost } from './urls.ts'

export interface TransportRequest {
  readonly method: 'HEAD' | 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** A stream is sent once, needs a `content-length` header, and does not follow redirects. */
  readonly body?: Buffer | Readable
  /** True: the body of a 2xx is returned as `stream`, of any length. The caller must read or destroy it. */
  readonly asStream?: boolean
  /**
   * True: the connection is reused after a HEAD. By default undici closes it, because some servers wrongly send a body, which
   * would be read as the next response. For callers that retry.
   */
  readonly keepAlive?: boolean
  /** Milliseconds until the response headers arrive. Writes can take a registry longer than reads. */
  readonly headersTimeoutMs?: number
  /** Largest body of a 200. Bodies of other statuses have a fixed limit. */
  readonly maxBodyBytes: number
  readonly maxRedirects: number
  readonly signal: AbortSignal
}

export interface HttpResponse {
  readonly status: number
  /** Returns every value of a response header. */
  readonly header: (name: string) => readonly string[]
  /** Null if the body was too large, or had a content coding (the request accepts none). */
  readonly body: Buffer | null
  /** The body if `asStream` was set and it has no content coding. */
  readonly stream: Readable | null
  readonly hasContentCoding: boolean
  /** False after a redirect to another origin: the response is not from the registry itself. */
  readonly isFromRegistry: boolean
  readonly url: URL
}

export type SendResult =
  | { readonly ok: true; readonly response: HttpResponse }
  | { readonly ok: false; readonly failure: RequestFailure }

export interface Transport {
  /** Never rejects: an error becomes a failure. */
  send(request: TransportRequest): Promise<SendResult>
  close(): Promise<void>
}

/** Error bodies of registries have some hundred bytes; go-containerregistry reads this much. */
const maxErrorBytes = 64 * 1024

/** Node.js's own default; four times the longest token challenge seen. */
const maxHeaderBytes = 16 * 1024

/** More than the images that one node starts at once. Further requests wait for a connection. */
const maxConnections = 64

/** For callers without a deadline of their own; a review has at most 2.5 s. */
const defaultTimeoutMs = 10_000

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** The current URL of a request that follows redirects. */
type Hop = Pick<HttpResponse, 'url' | 'isFromRegistry'>

/** Creates a transport. It opens no connection before the first request. */
export function createTransport(options: ConnectorOptions): Transport {
  const agent = new Agent({
    connect: createConnector(options),
    connections: maxConnections,
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: defaultTimeoutMs,
    bodyTimeout: defaultTimeoutMs,
    // Only undici's HTTP/1 parser enforces the header limit.
    allowH2: false,
  })

  return {
    async send(request) {
      let hop: Hop = { url: request.url, isFromRegistry: true }
      try {
        for (let redirects = 0; ; redirects++) {
          const response = await sendTo(agent, request, hop)
          if (!redirectStatuses.has(response.status)) return { ok: true, response }
          if (request.method !== 'GET' && request.method !== 'HEAD') {
            return refuse(
              `${displayHost(hop.url)} redirects a ${request.method} request, which Berth does not follow`,
            )
          }
          if (redirects === request.maxRedirects) return refuse(tooManyRedirects(request, hop.url))
          const next = redirectTarget(response)
          if (typeof next === 'string') return refuse(next)
          // A redirect back to the registry does not restore the credentials: another host chose its target.
          const isFromRegistry = hop.isFromRegistry && next.origin === request.url.origin
          hop = { url: next, isFromRegistry }
        }
      } catch (error) {
        const context = { url: hop.url, signal: request.signal }
        return { ok: false, failure: failureForError(error, context) }
      }
    },
    close: () => agent.destroy(),
  }
}

async function sendTo(
  agent: Agent,
  request: TransportRequest,
  { url, isFromRegistry }: Hop,
): Promise<HttpResponse> {
  const { authorization, ...otherHeaders } = request.headers
  const authHeaders = isFromRegistry && authorization !== undefined ? { authorization } : {}
  const { signal } = request
  // undici opens the connection even if the signal has aborted, and checks the signal only once it is connected.
  signal.throwIfAborted()
  const response = await rejectOnAbort(
    agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method,
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(request.keepAlive === true ? { reset: false } : {}),
      ...(request.headersTimeoutMs === undefined
        ? {}
        : { headersTimeout: request.headersTimeoutMs }),
      headers: {
        'accept-encoding': 'identity',
        'user-agent': 'berth',
        ...otherHeaders,
        ...authHeaders,
      },
      signal,
    }),
    signal,
  )
  const header = headerReader(response.headers)
  const hasContentCoding = header('content-encoding').some((each) => !/^(identity)?$/i.test(each))
  const { statusCode: status } = response
  const common = { status, header, hasContentCoding, isFromRegistry, url }
  if (request.asStream === true && status >= 200 && status < 300 && !hasContentCoding) {
    return { ...common, body: null, stream: response.body }
  }
  const limit = status === 200 ? request.maxBodyBytes : maxErrorBytes
  const body = hasContentCoding ? discard(response.body) : await readBody(response.body, limit)
  return { ...common, body, stream: null }
}

function refuse(detail: string): SendResult {
  return { ok: false, failure: failed('invalid', detail) }
}

function tooManyRedirects({ maxRedirects }: TransportRequest, url: URL): string {
  const host = displayHost(url)
  return maxRedirects === 0
    ? `${host} sent a redirect, which this request does not follow`
    : `more than ${maxRedirects} redirects, the last from ${host}`
}

/** Returns the next URL, or the reason why the redirect is refused. */
function redirectTarget({ header, url }: HttpResponse): URL | string {
  const [location, ...more] = header('location')
  if (location === undefined || more.length > 0 || !URL.canParse(location, url.href)) {
    return `${displayHost(url)} sent a redirect without a valid Location header`
  }
  const next = new URL(location, url)
  const host = displayHost(next)
  if (next.username !== '' || next.password !== '') {
    return `the redirect to ${host} contains a user or password`
  }
  if (next.protocol === 'https:' || next.protocol === url.protocol) return next
  return next.protocol === 'http:'
    ? `the redirect to ${host} is from https to plain HTTP`
    : `${displayHost(url)} redirects to a URL that is neither http nor https`
}

function headerReader(headers: Dispatcher.ResponseData['headers']): HttpResponse['header'] {
  return (name) => {
    const value = headers[name]
    if (value === undefined) return []
    return Array.isArray(value) ? value : [value]
  }
}

async function readBody(
  body: Dispatcher.ResponseData['body'],
  limit: number,
): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    // Leaving the loop destroys the stream and its connection.
    if (size > limit) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function discard(body: Dispatcher.ResponseData['body']): null {
  // A stream that is destroyed before its end emits an error.
  body.on('error', () => undefined).destroy()
  return null
}
