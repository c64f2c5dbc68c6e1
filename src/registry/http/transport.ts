/** Sends HTTP requests for one registry: redirects, TLS, and limits on size, time and connections. */
import { Readable } from 'node:stream'
import { Agent } from 'undici'
import { linkAbort } from '../../async/abort.ts'
import { type ByteBudget, createByteBudget } from '../../async/byte-budget.ts'
import { createConnector, type ConnectorOptions } from './connector.ts'
import type { Hop, HttpResponse, SendResult, TransportRequest } from './messages.ts'
import { failed, failureForError, RequestFailedError } from './network-error.ts'
import { type PendingConnects, watchConnects } from './pending-connects.ts'
import { registryShare } from './response-body.ts'
import { type Sender, sendOnce } from './send-once.ts'
import { displayHost } from './urls.ts'

export interface Transport {
  /** Never rejects: an error becomes a failure. */
  send(request: TransportRequest): Promise<SendResult>
  close(): Promise<void>
}

export interface TransportOptions extends ConnectorOptions {
  /** The memory for the bodies of all registries. This one gets a share of it. */
  readonly bodyBudget: ByteBudget
}

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

/** Registries redirect to a few storage hosts. */
const maxOrigins = 32

/** The longest that an idle connection is kept if a server asks for that. undici's default is ten minutes. */
const maxKeepAliveMs = 60_000

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

interface Connection extends Sender, Pick<TransportOptions, 'proxyFor'> {
  readonly hasClientCertificate: boolean
  readonly connects: PendingConnects
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
      const response = await sendOnce(connection, request, hop)
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
