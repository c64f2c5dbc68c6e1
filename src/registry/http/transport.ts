/** Sends HTTP requests for one registry: redirects, TLS, and limits on size, time and connections. */
import { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'
import { proxyErrorForStatus } from '../../proxy/proxy-error.ts'
import type { ProxyServer } from '../../proxy/proxy-rules.ts'
import { linkAbort, rejectOnAbort } from '../../async/abort.ts'
import { type ByteBudget, createByteBudget } from '../../async/byte-budget.ts'
import { createConnector, type ConnectorOptions } from './connector.ts'
import { type PendingConnects, watchConnects } from './pending-connects.ts'
import {
  failed,
  failureForError,
  isConnectionLost,
  RequestFailedError,
  type RequestFailure,
} from './network-error.ts'
import {
  type BodyConsumer,
  discardBody,
  type HeaderReader,
  readBody,
  registryShare,
} from './response-body.ts'
import { displayHost } from './urls.ts'

export interface TransportRequest {
  readonly method: 'HEAD' | 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** A stream is sent once, needs a `content-length` header, and does not follow redirects. */
  readonly body?: Buffer | Readable
  /** True: the body of a 2xx is returned as `stream`, of any length. The caller must read or destroy it. */
  readonly asStream?: boolean
  /** Milliseconds until the response headers arrive. Writes can take a registry longer than reads. */
  readonly headersTimeoutMs?: number
  /** Largest body of a 200. Bodies of other statuses have a fixed limit. */
  readonly maxBodyBytes: number
  /** Receives the body of a 200 in pieces, instead of the caller. */
  readonly consumer?: BodyConsumer
  readonly maxRedirects: number
  readonly signal: AbortSignal
}

export interface HttpResponse {
  readonly status: number
  readonly header: HeaderReader
  /**
   * Null if the body was too large, if a consumer stopped it, or if it had a content coding (the request accepts none). Empty if
   * a consumer received it.
   */
  readonly body: Buffer | null
  /** The body if `asStream` was set and it has no content coding. */
  readonly stream: Readable | null
  readonly hasContentCoding: boolean
  /** False after a redirect to another origin: the response is not from the registry itself. */
  readonly isFromRegistry: boolean
  readonly url: URL
  /** The proxy that the response came through; null for a direct connection. */
  readonly proxy: ProxyServer | null
}

export type SendResult =
  | { readonly ok: true; readonly response: HttpResponse }
  | { readonly ok: false; readonly failure: RequestFailure }

export interface Transport {
  /** Never rejects: an error becomes a failure. */
  send(request: TransportRequest): Promise<SendResult>
  close(): Promise<void>
}

export interface TransportOptions extends ConnectorOptions {
  /** The memory for the bodies of all registries. This one gets a share of it. */
  readonly bodyBudget: ByteBudget
}

/** Error bodies of registries have some hundred bytes; go-containerregistry reads this much. */
const maxErrorBytes = 64 * 1024

/** Node.js's own default; four times the longest token challenge seen. */
const maxHeaderBytes = 16 * 1024

/** More than the images that one node starts at once. Further requests wait for a connection. */
const maxConnections = 64

/** A request fails after this time without data. A review has at most 2.5 s in total. */
const idleTimeoutMs = 10_000

/**
 * For callers without a deadline of their own: time for a whole body after its headers, so that a registry that sends single bytes
 * does not hold a request for hours. 4 MiB in this time are 85 KB/s.
 */
const bodyTimeoutMs = 50_000

/** 103 and other informational responses (RFC 9110, 15.2). Each one restarts undici's timeout for the headers. */
const maxInterimResponses = 8

/** Registries redirect to a few storage hosts. */
const maxOrigins = 32

/** The longest that an idle connection is kept if a server asks for that. undici's default is ten minutes. */
const maxKeepAliveMs = 60_000

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** The current URL of a request that follows redirects. */
type Hop = Pick<HttpResponse, 'url' | 'isFromRegistry' | 'proxy'>

interface Connection extends Pick<TransportOptions, 'proxyFor'> {
  readonly hasClientCertificate: boolean
  readonly agent: Agent
  readonly connects: PendingConnects
  readonly bodyBudget: ByteBudget
}

/** Creates a transport. It opens no connection before the first request. */
export function createTransport(options: TransportOptions): Transport {
  const { bodyBudget, proxyFor } = options
  const connects = watchConnects(createConnector(options), options.registryOrigin)
  const agent = new Agent({
    connect: connects.connect,
    connections: maxConnections,
    maxOrigins,
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: idleTimeoutMs,
    bodyTimeout: idleTimeoutMs,
    keepAliveMaxTimeout: maxKeepAliveMs,
    // Only undici's HTTP/1 parser enforces the header limit.
    allowH2: false,
  })
  const connection: Connection = {
    proxyFor,
    hasClientCertificate: options.clientCertificate !== null,
    agent,
    connects,
    bodyBudget: createByteBudget(bodyBudget.maxBytes * registryShare, bodyBudget),
  }

  return {
    async send(request) {
      const deadline = startDeadline(request)
      const { signal } = deadline
      const sent = await followRedirects(connection, { ...request, signal }, request.signal)
      deadline.end(sent.ok ? sent.response.stream : null)
      return sent
    },
    close: () => agent.destroy(),
  }
}

interface Deadline {
  readonly signal: AbortSignal
  /** Ends the deadline. A stream that the caller reads later still ends when the caller's signal aborts. */
  end(stream: Readable | null): void
}

/** Limits the time of a request, except for the upload of a stream, which can take hours. */
function startDeadline({ body, headersTimeoutMs, signal, url }: TransportRequest): Deadline {
  const link = linkAbort(signal)
  const ms = (headersTimeoutMs ?? idleTimeoutMs) + bodyTimeoutMs
  const detail = `no complete response from ${displayHost(url)} in ${ms / 1000} s`
  const timer =
    body instanceof Readable
      ? undefined
      : setTimeout(() => link.abort(new RequestFailedError(failed('timeout', detail))), ms)
  return {
    signal: link.signal,
    end(stream) {
      clearTimeout(timer)
      if (stream === null) link.unlink()
      else stream.once('close', () => link.unlink())
    },
  }
}

async function followRedirects(
  connection: Connection,
  request: TransportRequest,
  callerSignal: AbortSignal,
): Promise<SendResult> {
  let hop: Hop = { url: request.url, isFromRegistry: true, proxy: null }
  try {
    for (let redirects = 0; ; redirects++) {
      hop = { ...hop, proxy: connection.proxyFor(hop.url) }
      const response = await sendTo(connection, request, hop)
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
      hop = { url: next, isFromRegistry, proxy: null }
    }
  } catch (error) {
    return {
      ok: false,
      failure: failureForError(error, {
        ...hop,
        signal: callerSignal,
        isStuck: connection.connects.isStuck(),
        hasClientCertificate: connection.hasClientCertificate && hop.isFromRegistry,
      }),
    }
  }
}

async function sendTo(
  connection: Connection,
  request: TransportRequest,
  hop: Hop,
): Promise<HttpResponse> {
  const { authorization, ...otherHeaders } = request.headers
  const authHeaders = hop.isFromRegistry && authorization !== undefined ? { authorization } : {}
  const { signal, body, headersTimeoutMs } = request
  const { url, proxy } = hop
  const path = url.pathname + url.search
  // A request for an http host goes to the proxy itself (RFC 9112, 3.2.2).
  const forwarder = url.protocol === 'http:' ? proxy : null
  const proxyHeaders = proxyAuthorization(forwarder)
  // undici opens the connection even if the signal has aborted, and checks the signal only once it is connected.
  signal.throwIfAborted()
  const response = await requestWithRetry(connection.agent, signal, {
    origin: url.origin,
    path: forwarder === null ? path : `${url.origin}${path}`,
    method: request.method,
    ...(body === undefined ? {} : { body }),
    // Without this, undici closes the connection after a HEAD, because some servers wrongly send a body.
    reset: false,
    ...(headersTimeoutMs === undefined ? {} : { headersTimeout: headersTimeoutMs }),
    headers: {
      'accept-encoding': 'identity',
      'user-agent': 'berth',
      ...otherHeaders,
      ...authHeaders,
      ...proxyHeaders,
    },
    signal,
    onInfo: limitInterimResponses(url),
  })
  if (forwarder !== null) rejectProxyAnswer(forwarder, url, response)
  return readResponse(connection, request, { hop, response })
}

/**
 * Sends a request. Retries a HEAD or GET once if the connection ended without a response: the server may have closed an idle
 * connection at that moment, or sent a body after a HEAD, which breaks the next response. RFC 9112, 9.3.1, allows the retry.
 */
async function requestWithRetry(
  agent: Agent,
  signal: AbortSignal,
  options: Dispatcher.RequestOptions & { readonly origin: string },
): Promise<Dispatcher.ResponseData> {
  const send = () => rejectOnAbort(agent.request(options), signal)
  const isIdempotent = options.method === 'HEAD' || options.method === 'GET'
  try {
    return await send()
  } catch (error) {
    if (!isIdempotent || signal.aborted || !isConnectionLost(error)) throw error
    return send()
  }
}

function proxyAuthorization(proxy: ProxyServer | null): Readonly<Record<string, string>> {
  const authorization = proxy?.authorization ?? null
  return authorization === null ? {} : { 'proxy-authorization': authorization }
}

/** Throws if a response for an http host is from the proxy: by its status, or by the headers of Squid and tinyproxy. */
function rejectProxyAnswer(
  proxy: ProxyServer,
  url: URL,
  { statusCode: status, headers, body }: Dispatcher.ResponseData,
): void {
  const header = headerReader(headers)
  const [squidError] = header('x-squid-error')
  const isOfTinyproxy = status >= 400 && header('server').some((name) => /^tinyproxy\b/.test(name))
  if (status !== 407 && squidError === undefined && !isOfTinyproxy) return
  discardBody(body)
  throw proxyErrorForStatus(proxy, displayHost(url), { status, squidError })
}

async function readResponse(
  { bodyBudget: budget }: Connection,
  { method, asStream, consumer, maxBodyBytes, signal }: TransportRequest,
  { hop, response }: { readonly hop: Hop; readonly response: Dispatcher.ResponseData },
): Promise<HttpResponse> {
  const { statusCode: status, body } = response
  const header = headerReader(response.headers)
  const hasContentCoding = header('content-encoding').some((each) => !/^(identity)?$/i.test(each))
  const common = { ...hop, status, header, hasContentCoding }
  if (hasContentCoding) return { ...common, body: discardBody(body), stream: null }
  if (asStream === true && status >= 200 && status < 300) {
    return { ...common, body: null, stream: body }
  }
  const isOk = status === 200
  if (isOk) consumer?.start(header)
  const read = await readBody(body, {
    maxBytes: isOk ? maxBodyBytes : maxErrorBytes,
    contentLength: method === 'HEAD' ? 0 : contentLengthOf(header),
    consumer: isOk ? (consumer ?? null) : null,
    budget,
    signal,
  })
  return { ...common, body: read, stream: null }
}

/** Returns a function that throws when it is called too often. undici then fails the request with that error. */
function limitInterimResponses(url: URL): () => void {
  let count = 0
  return () => {
    count += 1
    if (count <= maxInterimResponses) return
    const detail = `${displayHost(url)} sent more than ${maxInterimResponses} interim responses`
    throw new RequestFailedError(failed('invalid', detail))
  }
}

/** Null without a valid header. undici rejects a body with another length. */
function contentLengthOf(header: HeaderReader): number | null {
  const [value = '', ...more] = header('content-length')
  return /^[0-9]{1,15}$/.test(value) && more.length === 0 ? Number(value) : null
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

function headerReader(headers: Dispatcher.ResponseData['headers']): HeaderReader {
  return (name) => {
    const value = headers[name]
    if (value === undefined) return []
    return Array.isArray(value) ? value : [value]
  }
}
