/** HTTP for one registry: limits, redirects and certificates. Knows nothing of manifests, and never rejects. */
import type { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'
import { createConnector, type ConnectorOptions } from './connector.ts'
import { failed, type RequestFailure, failureForError, shortHost } from './network-error.ts'

export interface TransportRequest {
  readonly method: 'HEAD' | 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** A stream is sent once and needs a `content-length` among the headers; a redirect of it is not followed. */
  readonly body?: Buffer | Readable
  /** True: the body of a 2xx comes as `stream`, unread and of any length. Whoever asked has to read or destroy it. */
  readonly asStream?: boolean
  /**
   * True: the connection is used again after a HEAD. undici closes it, for servers that answer with a body against the
   * rule; with them the next answer is nonsense, so this is for callers who ask again.
   */
  readonly keepAlive?: boolean
  /** Milliseconds without a byte of the answer; writing can take a registry longer than reading. */
  readonly headersTimeoutMs?: number
  /** Largest body of a 200 that is read; those of other answers have a limit of their own. */
  readonly maxBodyBytes: number
  readonly maxRedirects: number
  readonly signal: AbortSignal
}

export interface HttpResponse {
  readonly status: number
  /** Every value that this header came with. */
  readonly header: (name: string) => readonly string[]
  /** Null when it was larger than allowed, or came with a content-coding, which nobody had asked for. */
  readonly body: Buffer | null
  /** Only when it was asked for, and came without a content-coding. */
  readonly stream: Readable | null
  readonly hasContentCoding: boolean
  /** False after a redirect to another origin: what came back is not from the registry itself. */
  readonly isFromRegistry: boolean
  readonly url: URL
}

export type SendResult =
  | { readonly ok: true; readonly response: HttpResponse }
  | { readonly ok: false; readonly failure: RequestFailure }

export interface Transport {
  send(request: TransportRequest): Promise<SendResult>
  close(): Promise<void>
}

/** What registries say about an error is some hundred bytes; go-containerregistry reads as much at the most. */
const maxErrorBytes = 64 * 1024

/** Node's own default, and four times what the longest token challenge has been seen to need. */
const maxHeaderBytes = 16 * 1024

/** More images than one node starts at once; further ones wait in line, which registries like better. */
const maxConnections = 64

/** For callers without a deadline of their own; reviews have 2.5 s at most. */
const silenceMs = 10_000

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Where a request has come to, and whether it has been at the registry's own origin all the way. */
type Hop = Pick<HttpResponse, 'url' | 'isFromRegistry'>

/** Opens no connection until something is sent. */
export function createTransport(options: ConnectorOptions): Transport {
  const agent = new Agent({
    connect: createConnector(options),
    connections: maxConnections,
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
    // The header limit is the HTTP/1 parser's.
    allowH2: false,
  })

  const hop = async (
    request: TransportRequest,
    { url, isFromRegistry }: Hop,
  ): Promise<HttpResponse> => {
    const { authorization, ...others } = request.headers
    const mine = isFromRegistry && authorization !== undefined ? { authorization } : {}
    const { signal } = request
    // undici would still open the connection.
    signal.throwIfAborted()
    const response = await untilAborted(
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
          ...others,
          ...mine,
        },
        signal,
      }),
      signal,
    )
    const header = headerReader(response.headers)
    const hasContentCoding = header('content-encoding').some(
      (coding) => !/^(identity)?$/i.test(coding),
    )
    const { statusCode: status } = response
    if (request.asStream === true && status >= 200 && status < 300 && !hasContentCoding) {
      return {
        status,
        header,
        body: null,
        stream: response.body,
        hasContentCoding,
        isFromRegistry,
        url,
      }
    }
    const limit = status === 200 ? request.maxBodyBytes : maxErrorBytes
    const body = hasContentCoding ? discard(response.body) : await readBody(response.body, limit)
    return { status, header, body, stream: null, hasContentCoding, isFromRegistry, url }
  }

  return {
    async send(request) {
      let at: Hop = { url: request.url, isFromRegistry: true }
      try {
        for (let hops = 0; ; hops++) {
          const response = await hop(request, at)
          if (!redirects.has(response.status)) return { ok: true, response }
          if (request.method !== 'GET' && request.method !== 'HEAD') {
            return refuse(
              `${shortHost(at.url)} redirects a ${request.method}, which is not followed`,
            )
          }
          if (hops === request.maxRedirects) return refuse(tooMany(request, at.url))
          const next = nextUrl(response)
          if (typeof next === 'string') return refuse(next)
          // Credentials do not come back either: the way back was chosen by somebody else.
          const isFromRegistry = at.isFromRegistry && next.origin === request.url.origin
          at = { url: next, isFromRegistry }
        }
      } catch (error) {
        return {
          ok: false,
          failure: failureForError(error, { url: at.url, signal: request.signal }),
        }
      }
    },
    close: () => agent.destroy(),
  }
}

function refuse(detail: string): SendResult {
  return { ok: false, failure: failed('invalid', detail) }
}

function tooMany({ maxRedirects }: TransportRequest, url: URL): string {
  const host = shortHost(url)
  return maxRedirects === 0
    ? `${host} redirects, which is not followed here`
    : `more than ${maxRedirects} redirects, the last from ${host}`
}

/** The next URL, or why there is none. */
function nextUrl({ header, url }: HttpResponse): URL | string {
  const [location, ...more] = header('location')
  if (location === undefined || more.length > 0 || !URL.canParse(location, url.href)) {
    return `${shortHost(url)} redirects to nowhere`
  }
  const next = new URL(location, url)
  const name = shortHost(next)
  if (next.username !== '' || next.password !== '') return `the redirect to ${name} has a user`
  if (next.protocol === 'https:' || next.protocol === url.protocol) return next
  return next.protocol === 'http:'
    ? `the redirect to ${name} is from https to plain HTTP`
    : `${shortHost(url)} redirects to what is neither http nor https`
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
    // Leaving the loop destroys the stream, and with it the connection.
    if (size > limit) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function discard(body: Dispatcher.ResponseData['body']): null {
  // Destroying it before its end is an error of the stream's, and one that nobody waits for.
  body.on('error', () => undefined).destroy()
  return null
}

/** undici looks at the signal only once it is connected, and a name or a port can keep it waiting. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let giveUp = () => {}
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => reject(new Error('aborted', { cause: signal.reason }))
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
