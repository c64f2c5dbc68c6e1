/**
 * Sends HTTP requests to the API server: credentials, retries, and failures as KubeError. Berth sends requests with undici
 * because client-node opens a new connection for each request.
 */
import { type Dispatcher, request as sendRequest } from 'undici'
import { rejectOnAbort } from '../async/abort.ts'
import { sleep as waitFor } from '../async/sleep.ts'
import { cutText } from '../text/cut-text.ts'
import { KubeError } from './error.ts'

/** Where the API server is, and what authenticates the client. */
export interface Access {
  readonly server: string
  readonly headers: Readonly<Record<string, string>>
  readonly dispatcher: Dispatcher | undefined
}

/** Finds the server and the credentials. `isRejected`: the API server rejected the last ones with 401, so caches must be skipped. */
export type FindAccess = (options: { readonly isRejected: boolean }) => Promise<Access>

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly accept?: string
  readonly body?: object
  readonly contentType?: string
  /** The object or collection, for messages: `secrets shop/pull`. */
  readonly about: string
  readonly signal?: AbortSignal | undefined
  /** How often to wait for a Retry-After and send the request again. Default: 10. */
  readonly maxRetries?: number | undefined
  /** The longest body that is read. Default: no limit. */
  readonly maxBytes?: number
}

export interface TransportOptions {
  /** Milliseconds for the headers of a response, and between two parts of its body. */
  readonly timeoutMs?: number
  /** Tests replace it. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>
}

export interface SizedJson<T> {
  readonly value: T
  readonly length: number
}

/** Methods throw KubeError for a failure status and for a connection that fails. */
export interface Transport {
  /** Sends a request and returns the JSON of the response. */
  readonly json: <T>(request: KubeRequest) => Promise<T>
  /** Returns the length of the JSON too, in characters. */
  readonly sizedJson: <T>(request: KubeRequest) => Promise<SizedJson<T>>
  /** Sends a request and returns the body of the response as it arrives, without a timeout. */
  stream(request: KubeRequest): Promise<AsyncIterable<Buffer>>
  /** Uses new connections and new credentials from now on. Requests that are running continue. */
  reset(): Promise<void>
}

/** Service account tokens are rotated on disk and tokens of exec plugins expire, so credentials are read again this often. */
const accessLifeMs = 60_000

/** The API server's own --request-timeout default. */
const defaultTimeoutMs = 60_000

/** client-go retries 429 and 5xx with Retry-After at most ten times (rest/request.go, maxRetries). */
const defaultMaxRetries = 10

/** The longest Retry-After that is waited for; with more, the caller gets the error. */
const maxRetryAfterSeconds = 60

/** Creates a transport, which calls `findAccess` again after a minute and after a 401. */
export function createTransport(
  findAccess: FindAccess,
  { timeoutMs = defaultTimeoutMs, sleep = waitFor }: TransportOptions = {},
): Transport {
  const cache = createAccessCache(findAccess)

  async function send(request: KubeRequest, bodyTimeout: number): Promise<Dispatcher.ResponseData> {
    const { signal = new AbortController().signal, maxRetries = defaultMaxRetries } = request
    let isReauthenticated = false
    for (let retries = 0; ; retries += 1) {
      const times = { headersTimeout: timeoutMs, bodyTimeout }
      const response = await sendOnce(await cache.get(), request, times)
      if (response.statusCode < 400) return response
      const delayMs = retryAfterMs(response)
      const isExpired = response.statusCode === 401 && !isReauthenticated
      if (!isExpired && (delayMs === null || retries >= maxRetries))
        throw await errorOf(response, request)
      await response.body.dump()
      if (isExpired) {
        isReauthenticated = true
        void cache.reset({ isRejected: true })
      } else {
        await sleep(delayMs ?? 0, signal)
        signal.throwIfAborted()
      }
    }
  }

  async function sizedJson<T>(request: KubeRequest): Promise<SizedJson<T>> {
    const response = await send(request, timeoutMs)
    try {
      const text = await readText(response.body, request.maxBytes)
      return { value: JSON.parse(text) as T, length: text.length }
    } catch (cause) {
      if (request.signal?.aborted === true) throw cause
      const problem = `the response about ${request.about} is incomplete (${reasonOf(cause)})`
      throw new KubeError(null, '', problem, { cause })
    }
  }

  return {
    sizedJson,
    json: async <T>(request: KubeRequest) => (await sizedJson<T>(request)).value,
    // A watch is silent while nothing changes; informer.ts detects one that has stalled.
    stream: async (request) => (await send(request, 0)).body,
    reset: () => cache.reset(),
  }
}

/** Throws if the body is longer than `maxBytes`, and closes the connection then. */
async function readText(
  body: Dispatcher.ResponseData['body'],
  maxBytes: number | undefined,
): Promise<string> {
  if (maxBytes === undefined) return body.text()
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function sendOnce(
  { server, headers, dispatcher }: Access,
  request: KubeRequest,
  times: { readonly headersTimeout: number; readonly bodyTimeout: number },
): Promise<Dispatcher.ResponseData> {
  const { method, body, about, signal } = request
  const response = sendRequest(urlOf(server, request), {
    method,
    headers: { ...headers, ...headersOf(request) },
    body: body === undefined ? null : JSON.stringify(body),
    ...times,
    ...(dispatcher === undefined ? {} : { dispatcher }),
    ...(signal === undefined ? {} : { signal }),
  })
  try {
    // undici notices an abort only when it has a connection.
    return await (signal === undefined ? response : rejectOnAbort(response, signal))
  } catch (cause) {
    if (signal?.aborted === true) throw cause
    const problem = `${server} does not answer the request for ${about} (${reasonOf(cause)})`
    throw new KubeError(null, '', problem, { cause })
  }
}

/** Keeps the credentials, and with them the connections, for a minute. */
function createAccessCache(findAccess: FindAccess): {
  get(): Promise<Access>
  reset(options?: { readonly isRejected: boolean }): Promise<void>
} {
  let current: { readonly access: Promise<Access>; readonly until: number } | null = null
  let isRejected = false

  /** Lets running requests end. */
  async function reset(options = { isRejected: false }): Promise<void> {
    const old = current
    current = null
    isRejected ||= options.isRejected
    await old?.access.then(({ dispatcher }) => dispatcher?.close()).catch(() => undefined)
  }

  return {
    get() {
      const now = performance.now()
      if (current !== null && now < current.until) return current.access
      void reset()
      const access = findAccess({ isRejected })
      isRejected = false
      current = { access, until: now + accessLifeMs }
      access.catch(() => reset())
      return access
    },
    reset,
  }
}

function urlOf(server: string, { path, query = {} }: KubeRequest): URL {
  const url = new URL(server.replace(/\/$/, '') + path)
  for (const [key, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(key, value)
  return url
}

function headersOf({
  accept = 'application/json',
  body,
  contentType = 'application/json',
}: KubeRequest): Readonly<Record<string, string>> {
  return {
    accept,
    'user-agent': 'berth',
    ...(body === undefined ? {} : { 'content-type': contentType }),
  }
}

/** Milliseconds until the server wants the request again; null when it does not say (client-go, rest/with_retry.go). */
function retryAfterMs({ statusCode, headers }: Dispatcher.ResponseData): number | null {
  const header = headers['retry-after']
  if (statusCode !== 429 && statusCode < 500) return null
  if (typeof header !== 'string' || !/^\d{1,3}$/.test(header)) return null
  const seconds = Number(header)
  return seconds > maxRetryAfterSeconds ? null : seconds * 1000
}

/** Characters of a message of the API server. It lists the invalid fields of an object. */
const maxMessageLength = 4_096

/** The API server gives the reason as a `metav1.Status`, whose message names the object and the rule. */
async function errorOf(
  response: Dispatcher.ResponseData,
  { about }: KubeRequest,
): Promise<KubeError> {
  const { statusCode, body } = response
  const text = await body.text().catch(() => '')
  let status: { readonly message?: unknown; readonly reason?: unknown } = {}
  try {
    status = (JSON.parse(text) ?? {}) as typeof status
  } catch {
    // A proxy in front of the API server sends HTML.
  }
  const detail =
    typeof status.message === 'string' && status.message !== ''
      ? `: ${cutText(status.message, maxMessageLength)}`
      : ''
  return new KubeError(
    statusCode,
    typeof status.reason === 'string' ? status.reason : '',
    `the API server answered ${statusCode} about ${about}${detail}`,
    { retryAfterMs: retryAfterMs(response) ?? 0 },
  )
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as NodeJS.ErrnoException
  return code ?? error.message
}
