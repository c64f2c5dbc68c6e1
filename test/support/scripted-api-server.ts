/**
 * A Kubernetes API server on loopback for wire tests: HTTP or HTTPS in front of the objects of a FakeKube.
 *
 * Without a script it behaves like an API server: get, list (in pages), watch, create, replace, patch and delete, with
 * 404 and 409. `script` replaces the replies to chosen requests, in order, one reply for each request:
 *
 *     const server = await startScriptedApiServer()
 *     server.script({ method: 'GET', path: '/pods' }, replyStatus(429, 'TooManyRequests', { 'retry-after': '1' }))
 *     const stream = createWatchStream()
 *     server.script({ path: '/pods', isWatch: true }, stream.reply)
 *     const watched = watch(server.api(), { … })
 *     await stream.opened
 *     stream.event('ADDED', pod)
 *     stream.error(410, 'Expired')
 *     await server.waitForRequests({ path: '/pods', isWatch: false }, 2)
 *     await server.close()
 */
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http'
import type { ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent } from 'undici'
import { createKubeApi, type KubeApi, type PatchKind } from '../../src/kube/api-client.ts'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject, ResourceRef } from '../../src/kube/object.ts'
import type { TransportOptions } from '../../src/kube/transport.ts'
import { type FakeKube, startFakeKube } from './fake-kube.ts'
import { createTestCertificate } from './registry-tls.ts'

export interface ReceivedRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: IncomingMessage['headers']
  /** Empty when there is none. */
  readonly body: string
  readonly isWatch: boolean
  /** When it arrived, by `performance.now()`. */
  readonly at: number
}

/** Members that are left out match every request. */
export interface RequestMatch {
  readonly method?: string
  /** A string matches the end of the path: `/pods`, `/leases/berth-controller`. */
  readonly path?: string | RegExp
  readonly isWatch?: boolean
  /** The bearer token, which distinguishes two clients. */
  readonly token?: string
}

/** Answers one request. */
export type Reply = (response: ServerResponse, request: ReceivedRequest) => void | Promise<void>

export interface ClientOptions extends TransportOptions {
  readonly tokens?: readonly string[]
}

export interface ScriptedApiServer {
  readonly url: string
  /** The CA certificate in PEM; null over HTTP. */
  readonly ca: string | null
  /** The objects behind the default replies. Change them here as another client would. */
  readonly kube: FakeKube
  /** All requests so far, in the order of their arrival. */
  readonly requests: readonly ReceivedRequest[]
  /** How many connections clients have opened so far. */
  connections(): number
  /** Uses each reply once for the next matching requests. A match that is scripted first wins. */
  script(match: RequestMatch, ...replies: readonly Reply[]): void
  /** Uses the reply for every matching request; returns a function that ends it. */
  scriptAlways(match: RequestMatch, reply: Reply): () => void
  /** Resolves with the matching requests when there are at least `count` of them. */
  waitForRequests(match: RequestMatch, count?: number): Promise<readonly ReceivedRequest[]>
  /** A client. Each lookup of its credentials takes the next token; the last one stays. */
  api(options?: ClientOptions): KubeApi
  /** A kubeconfig for this server, with a user that has this token. `connect` accepts it only over HTTPS. */
  kubeconfig(token?: string): string
  /** Closes all connections and refuses new ones until `resume`. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Closes the server and the clients that `api` returned. */
  close(): Promise<void>
}

export async function startScriptedApiServer({
  isHttps = false,
  kube = startFakeKube(),
}: { readonly isHttps?: boolean; readonly kube?: FakeKube } = {}): Promise<ScriptedApiServer> {
  const certificate = isHttps ? await createTestCertificate() : null
  const ca = certificate?.cert ?? null
  const requests: ReceivedRequest[] = []
  const scripts: { readonly match: RequestMatch; readonly replies: Reply[]; once: boolean }[] = []
  const sockets = new Set<Socket>()
  const clients: KubeApi[] = []
  const stop = new AbortController()
  let opened = 0
  let changed = Promise.withResolvers<void>()

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(incoming)
    requests.push(request)
    changed.resolve()
    changed = Promise.withResolvers()
    await nextReply(request)(response, request)
  }

  function nextReply(request: ReceivedRequest): Reply {
    const script = scripts.find(
      ({ match, replies }) => replies.length > 0 && isMatch(match, request),
    )
    const reply = script?.once === true ? script.replies.shift() : script?.replies[0]
    return reply ?? replyFromObjects(kube.api, stop.signal)
  }

  const listener = (incoming: IncomingMessage, response: ServerResponse) => {
    handle(incoming, response).catch(() => response.destroy())
  }
  const server: Server = certificate
    ? createHttpsServer(certificate, listener)
    : createHttpServer(listener)
  server.on(certificate ? 'secureConnection' : 'connection', (socket: Socket) => {
    opened += 1
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  const listen = (port: number) =>
    new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
  await listen(0)
  const { port } = server.address() as AddressInfo
  const url = `${isHttps ? 'https' : 'http'}://127.0.0.1:${port}`

  async function pause(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  }

  return {
    url,
    ca,
    kube,
    requests,
    connections: () => opened,
    script: (match, ...replies) => void scripts.push({ match, replies: [...replies], once: true }),
    scriptAlways: (match, reply) => {
      const script = { match, replies: [reply], once: false }
      scripts.push(script)
      return () => void (script.replies.length = 0)
    },
    async waitForRequests(match, count = 1) {
      for (;;) {
        const matching = requests.filter((request) => isMatch(match, request))
        if (matching.length >= count) return matching
        await changed.promise
      }
    },
    api: ({ tokens = ['token'], ...options } = {}) => {
      let lookups = 0
      const client = createKubeApi(() => {
        const token = tokens[Math.min(lookups, tokens.length - 1)] ?? ''
        lookups += 1
        return Promise.resolve({
          server: url,
          headers: { authorization: `Bearer ${token}` },
          dispatcher: new Agent(ca === null ? {} : { connect: { ca } }),
        })
      }, options)
      clients.push(client)
      return client
    },
    kubeconfig: (token = 'token') => kubeconfigOf(url, ca, token),
    pause,
    resume: () => listen(port),
    close: async () => {
      stop.abort()
      await pause()
      await Promise.all(clients.map((client) => client.close()))
    },
  }
}

/** A JSON body with status 200. */
export function replyJson(body: object, headers: Readonly<Record<string, string>> = {}): Reply {
  return (response) => sendJson(response, 200, body, headers)
}

/** A failure as the API server reports it: `metav1.Status` with this code and reason. */
export function replyStatus(
  code: number,
  reason: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return (response) => sendJson(response, code, statusOf(code, reason), headers)
}

/** Any status and text, as a proxy in front of the API server sends them. */
export function replyText(code: number, body: string): Reply {
  return (response) => void response.writeHead(code, { 'content-type': 'text/html' }).end(body)
}

/** One page of a list; the client asks for the next one with the `continue` token. */
export function replyPage(
  items: readonly object[] | null,
  { resourceVersion = '1', next }: { readonly resourceVersion?: string; readonly next?: string },
): Reply {
  return replyJson({
    kind: 'List',
    metadata: { resourceVersion, ...(next === undefined ? {} : { continue: next }) },
    items,
  })
}

/** No reply; the connection stays open. */
export function stall(): Reply {
  return () => undefined
}

/** Sends the headers and the start of a body, then nothing; the connection stays open. */
export function stallAfter(start: string): Reply {
  return (response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).write(start)
}

/** Closes the connection without a reply. */
export function resetConnection(): Reply {
  return (response) => void response.destroy()
}

/** Sends the start of a body, then closes the connection in the middle of it. */
export function dropAfter(start: string): Reply {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(start, () => response.destroy())
  }
}

/** Sends a JSON body in pieces of `bytes`, `gapMs` milliseconds apart. */
export function replySlowly(body: object, bytes: number, gapMs: number): Reply {
  return async (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    await writeInPieces(response, Buffer.from(JSON.stringify(body)), bytes, gapMs)
    response.end()
  }
}

/** Sends another reply after some milliseconds. */
export function delayed(milliseconds: number, reply: Reply): Reply {
  return async (response, request) => {
    await sleep(milliseconds)
    await reply(response, request)
  }
}

export interface WatchStream {
  /** For `script`; one stream answers one request. */
  readonly reply: Reply
  /** Resolves with the request when a client opens the stream. */
  readonly opened: Promise<ReceivedRequest>
  /** Resolves when either side has closed the stream. */
  readonly closed: Promise<void>
  event(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: object): void
  bookmark(resourceVersion: string): void
  /** An ERROR event, as for a version that the API server no longer knows: 410, Expired. */
  error(code: number, reason: string): void
  /** Sends text as it is: the start of a line, or several lines. */
  raw(chunk: string | Buffer): void
  /** Ends the response as the API server does after `timeoutSeconds`. */
  end(): void
  /** Closes the connection in the middle of the response. */
  reset(): void
}

/** A watch whose lines the test sends. Lines that are sent before the stream opens are kept. */
export function createWatchStream(): WatchStream {
  const opened = Promise.withResolvers<ReceivedRequest>()
  const closed = Promise.withResolvers<void>()
  const actions: ((response: ServerResponse) => void)[] = []
  let open: ServerResponse | null = null
  const act = (action: (response: ServerResponse) => void) => {
    if (open === null) actions.push(action)
    else action(open)
  }
  const line = (event: object) => act((response) => response.write(`${JSON.stringify(event)}\n`))
  return {
    reply: (response, request) => {
      open = response
      response.on('close', closed.resolve)
      response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
      for (const action of actions.splice(0)) action(response)
      opened.resolve(request)
    },
    opened: opened.promise,
    closed: closed.promise,
    event: (type, object) => line({ type, object }),
    bookmark: (resourceVersion) =>
      line({ type: 'BOOKMARK', object: { metadata: { resourceVersion } } }),
    error: (code, reason) => line({ type: 'ERROR', object: statusOf(code, reason) }),
    raw: (chunk) => act((response) => response.write(chunk)),
    end: () => act((response) => response.end()),
    reset: () => act((response) => response.destroy()),
  }
}

async function readRequest(incoming: IncomingMessage): Promise<ReceivedRequest> {
  const url = new URL(incoming.url ?? '/', 'http://localhost')
  const query = Object.fromEntries(url.searchParams)
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query,
    headers: incoming.headers,
    body: await text(incoming),
    isWatch: query['watch'] === 'true',
    at: performance.now(),
  }
}

function isMatch(match: RequestMatch, request: ReceivedRequest): boolean {
  const { method, path, isWatch, token } = match
  if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) return false
  if (method !== undefined && method !== request.method) return false
  if (isWatch !== undefined && isWatch !== request.isWatch) return false
  if (path === undefined) return true
  return typeof path === 'string' ? request.path.endsWith(path) : path.test(request.path)
}

/** What an API server with these objects answers. */
function replyFromObjects(api: KubeApi, signal: AbortSignal): Reply {
  return async (response, request) => {
    try {
      if (request.isWatch) await sendWatch(api, response, request, signal)
      else sendJson(response, 200, await answer(api, request))
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      sendJson(response, error.status ?? 500, statusOf(error.status ?? 500, error.reason))
    }
  }
}

async function answer(api: KubeApi, request: ReceivedRequest): Promise<object> {
  const { method, path, query, headers } = request
  const ref = refOf(path)
  const body = request.body === '' ? {} : (JSON.parse(request.body) as KubeObject)
  switch (method) {
    case 'POST':
      return api.create(ref, body)
    case 'PUT':
      return api.replace(ref, body)
    case 'PATCH':
      return api.patch(ref, patchKindOf(headers['content-type']), body)
    case 'DELETE': {
      const { preconditions } = body as { preconditions?: { uid?: string } }
      if (await api.delete(ref, preconditions)) return statusOf(200, 'Success')
      throw new KubeError(404, 'NotFound', 'not found')
    }
    default:
      return ref.name === undefined ? listOf(api, ref, query) : objectOf(api, ref)
  }
}

async function objectOf(api: KubeApi, ref: ResourceRef): Promise<object> {
  const object = await api.get(ref)
  if (object === null) throw new KubeError(404, 'NotFound', 'not found')
  return object
}

async function listOf(
  api: KubeApi,
  ref: ResourceRef,
  { labelSelector, fieldSelector, limit, continue: next }: ReceivedRequest['query'],
): Promise<object> {
  const objects: KubeObject[] = []
  const pages = api.list(ref, { labelSelector, fieldSelector })
  for (;;) {
    const { done, value } = await pages.next()
    if (done !== true) {
      objects.push(value)
      continue
    }
    const start = Number(next ?? 0)
    const end = start + Number(limit ?? objects.length)
    return {
      kind: 'List',
      metadata: { ...value, ...(end < objects.length ? { continue: String(end) } : {}) },
      items: objects.slice(start, end),
    }
  }
}

async function sendWatch(
  api: KubeApi,
  response: ServerResponse,
  { path, query }: ReceivedRequest,
  signal: AbortSignal,
): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const lines = await api.watch(refOf(path), query, {
    signal: AbortSignal.any([signal, gone.signal]),
  })
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
  for await (const line of lines) response.write(line)
  response.end()
}

function refOf(path: string): ResourceRef {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent)
  const group = parts[0] === 'api' ? parts.slice(1, 2) : parts.slice(1, 3)
  const rest = parts.slice(1 + group.length)
  const namespace = rest[0] === 'namespaces' && rest.length > 2 ? rest[1] : undefined
  const [resource = '', name, subresource] = namespace === undefined ? rest : rest.slice(2)
  return {
    apiVersion: group.join('/'),
    resource,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  }
}

function patchKindOf(contentType = ''): PatchKind {
  if (contentType.includes('json-patch+json')) return 'json'
  if (contentType.includes('apply-patch')) return 'apply'
  return contentType.includes('strategic-merge') ? 'strategic' : 'merge'
}

function statusOf(code: number, reason: string): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: code < 400 ? 'Success' : 'Failure',
    code,
    reason,
    message: `scripted ${reason}`,
  }
}

function sendJson(
  response: ServerResponse,
  code: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(code, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(body))
}

async function writeInPieces(
  response: ServerResponse,
  bytes: Buffer,
  size: number,
  gapMs: number,
): Promise<void> {
  for (let start = 0; start < bytes.length; start += size) {
    response.write(bytes.subarray(start, start + size))
    await sleep(gapMs)
  }
}

function kubeconfigOf(server: string, ca: string | null, token: string): string {
  const authority =
    ca === null ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'scripted',
    clusters: [{ name: 'scripted', cluster: { server, ...authority } }],
    users: [{ name: 'scripted', user: { token } }],
    contexts: [{ name: 'scripted', context: { cluster: 'scripted', user: 'scripted' } }],
  })
}
