/** Sends one HTTP request to a registry, directly or through a proxy, and reads the response within its limits. */
import type { Agent, Dispatcher } from 'undici'
import { rejectOnAbort } from '../../async/abort.ts'
import type { ByteBudget } from '../../async/byte-budget.ts'
import { proxyErrorForStatus } from '../../proxy/proxy-error.ts'
import type { ProxyServer } from '../../proxy/proxy-rules.ts'
import type { Hop, HttpResponse, TransportRequest } from './messages.ts'
import { failed, isConnectionLost, RequestFailedError } from './network-error.ts'
import { discardBody, type HeaderReader, readBody } from './response-body.ts'
import { displayHost } from './urls.ts'

/** Where requests are sent, and the memory for the bodies of responses. */
export interface Sender {
  readonly agent: Agent
  readonly bodyBudget: ByteBudget
}

/** Error bodies of registries have some hundred bytes; go-containerregistry reads this much. */
const maxErrorBytes = 64 * 1024

/** 103 and other informational responses (RFC 9110, 15.2). Each one restarts undici's timeout for the headers. */
const maxInterimResponses = 8

/** Follows no redirect. Throws the errors of undici and RequestFailedError. */
export async function sendOnce(
  sender: Sender,
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
  const response = await requestWithRetry(sender.agent, signal, {
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
  return readResponse(sender, request, { hop, response })
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
  { bodyBudget: budget }: Sender,
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

function headerReader(headers: Dispatcher.ResponseData['headers']): HeaderReader {
  return (name) => {
    const value = headers[name]
    if (value === undefined) return []
    return Array.isArray(value) ? value : [value]
  }
}
