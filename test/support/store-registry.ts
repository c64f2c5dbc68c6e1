/**
 * A fake OCI registry that accepts pushes, on loopback. It is as strict as docker-registry, and logs every request. Tests can
 * make it close connections, refuse requests, throttle, or send wrong content.
 *
 *     const registry = await startStore()
 *     const image = registry.addImage('team/app', '1', { layers: [randomBytes(1_000)] })
 *     registry.fault(({ method }, count) => (method === 'PUT' && count === 3 ? { status: 503 } : null))
 */
import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { digestOf, indexType, manifestType } from './registry.ts'

export interface StoreRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
}

/** How the registry fails one request. */
export interface Fault {
  /** Responds with this status, these headers and an error with this code. */
  readonly status?: number
  readonly code?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Closes the connection instead of responding. */
  readonly cut?: true
  /** Processes the request, then closes the connection instead of responding. */
  readonly cutAfter?: true
  /** Closes the connection after so many bytes of the body of the response or the request. An upload keeps those bytes. */
  readonly cutAt?: number
  /** Replaces the body of the response. */
  readonly body?: Buffer
  /** Changes headers of the response; null removes one. */
  readonly change?: Readonly<Record<string, string | string[] | null>>
}

export interface StoreOptions {
  /** False: the registry ignores Range headers. */
  readonly ranges?: boolean
  /** False: the registry has no referrers API. */
  readonly referrers?: boolean
  /** False: the registry starts an upload instead of mounting a blob. */
  readonly mounts?: boolean
  /** If set, only these repositories exist, and a push does not create others, as on ECR. */
  readonly repositories?: Set<string>
  /** True: the registry accepts an index although it lacks manifests of it. */
  readonly sparseIndexes?: boolean
  /** The most tags or referrers on one page. */
  readonly pageSize?: number
  /** Returns the Link header for the path of the next page; default: the form in the specification. */
  readonly link?: (path: string) => string | string[]
  /** Returns the Location header for the path of an upload; default: the path. */
  readonly location?: (path: string) => string
  /** A path before `/v2/`. Links do not have it, as with a reverse proxy. */
  readonly prefix?: string
}

export interface Stored {
  readonly body: Buffer
  readonly mediaType: string
}

type ByRepository<Value> = Map<string, Map<string, Value>>

export interface Store {
  readonly host: string
  readonly url: string
  readonly requests: readonly StoreRequest[]
  /** Returns `METHOD PATH` of all requests, digests as `sha256:…`. */
  log(): string[]
  readonly manifests: ByRepository<Stored>
  readonly tags: ByRepository<string>
  readonly blobs: ByRepository<Buffer>
  readonly uploads: Map<string, Buffer>
  /** Adds an image without a request. Returns its digest. */
  addImage(repository: string, tag: string | null, image?: ImageContent): string
  addManifest(repository: string, tag: string | null, manifest: Stored): string
  /** Sets the fault of each request from now on, and clears the log. */
  fault(how: (request: StoreRequest, count: number) => Fault | null): void
  forgetRequests(): void
  close(): Promise<void>
}

export interface ImageContent {
  readonly layers?: readonly Buffer[]
  readonly subject?: string
  readonly artifactType?: string
  readonly more?: object
}

/** The content and options of a registry. */
interface State extends Pick<Store, 'manifests' | 'tags' | 'blobs' | 'uploads'> {
  readonly options: StoreOptions
  readonly requests: StoreRequest[]
  faultOf: Parameters<Store['fault']>[0]
}

/** One request in progress. */
interface Exchange {
  readonly state: State
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly fault: Fault
  readonly url: URL
  readonly repository: string
  readonly rest: string
  readonly method: string
}

/** Starts the registry on a free port. */
export async function startStore(options: StoreOptions = {}): Promise<Store> {
  const state: State = {
    options,
    manifests: new Map(),
    tags: new Map(),
    blobs: new Map(),
    uploads: new Map(),
    requests: [],
    faultOf: () => null,
  }
  const server = createServer((request, response) => {
    void handle(state, request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const { prefix = '' } = options
  const { requests, manifests, tags, blobs, uploads } = state
  return {
    host,
    url: `http://${host}${prefix}`,
    requests,
    manifests,
    tags,
    blobs,
    uploads,
    log: () =>
      requests.map(
        ({ method, path }) =>
          `${method} ${path.replaceAll(/sha256(:|%3A)[0-9a-f]{64}/g, 'sha256:…').replaceAll(/[0-9a-f-]{36}/g, 'ID')}`,
      ),
    addManifest: (repository, tag, manifest) => addManifest(state, repository, tag, manifest),
    addImage: (repository, tag, image) => addImage(state, repository, tag, image),
    fault(how) {
      state.faultOf = how
      requests.length = 0
    },
    forgetRequests() {
      requests.length = 0
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function within<Value>(map: ByRepository<Value>, repository: string): Map<string, Value> {
  const content = map.get(repository) ?? new Map<string, Value>()
  map.set(repository, content)
  return content
}

function addBlob({ blobs }: State, repository: string, content: Buffer): string {
  const digest = digestOf(content)
  within(blobs, repository).set(digest, content)
  return digest
}

function addManifest(
  { manifests, tags }: State,
  repository: string,
  tag: string | null,
  manifest: Stored,
): string {
  const digest = digestOf(manifest.body)
  within(manifests, repository).set(digest, manifest)
  if (tag !== null) within(tags, repository).set(tag, digest)
  return digest
}

function addImage(
  state: State,
  repository: string,
  tag: string | null,
  {
    layers = [Buffer.from(`layer of ${repository}:${tag}`)],
    subject,
    artifactType,
    more = {},
  }: ImageContent = {},
): string {
  const descriptor = (content: Buffer, mediaType: string) => ({
    mediaType,
    digest: addBlob(state, repository, content),
    size: content.length,
  })
  const document = {
    schemaVersion: 2,
    mediaType: manifestType,
    ...(artifactType === undefined ? {} : { artifactType }),
    config: descriptor(
      Buffer.from(`{"of":"${repository}:${tag}"}`),
      'application/vnd.oci.image.config.v1+json',
    ),
    layers: layers.map((layer) => descriptor(layer, 'application/vnd.oci.image.layer.v1.tar')),
    ...(subject === undefined
      ? {}
      : { subject: { mediaType: manifestType, digest: subject, size: 1 } }),
    ...more,
  }
  return addManifest(state, repository, tag, {
    body: Buffer.from(JSON.stringify(document)),
    mediaType: manifestType,
  })
}

async function handle(
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = '', url: path = '', headers } = request
  const logged: StoreRequest = { method, path, headers }
  state.requests.push(logged)
  const fault = state.faultOf(logged, state.requests.length) ?? {}
  if (await failRequest(fault, request, response)) return
  const { prefix = '' } = state.options
  const url = new URL(path, 'http://x')
  if (!url.pathname.startsWith(prefix)) return refuse(response, 404, 'NOT_FOUND')
  url.pathname = url.pathname.slice(prefix.length)
  const [, repository = '', kind = '', rest = ''] =
    /^\/v2\/(.+?)\/(manifests|blobs|tags|referrers)\/(.*)$/.exec(url.pathname) ?? []
  const isWrite = method !== 'GET' && method !== 'HEAD'
  if (isWrite && state.options.repositories?.has(repository) === false) {
    request.resume()
    return refuse(response, 404, 'NAME_UNKNOWN')
  }
  const exchange = { state, request, response, fault, url, repository, rest, method }
  return handlerOf(exchange, kind)(exchange)
}

function handlerOf(
  { method, rest }: Exchange,
  kind: string,
): (exchange: Exchange) => void | Promise<void> {
  if (kind === 'manifests') return method === 'PUT' ? putManifest : getManifest
  if (kind === 'tags') return listTags
  if (kind === 'referrers') return listReferrers
  return rest.startsWith('uploads/') ? upload : getBlob
}

function respond(
  { response, fault, method }: Exchange,
  status: number,
  headers: Record<string, string | string[]>,
  body: Buffer = Buffer.alloc(0),
): void {
  if (fault.cutAfter) return void response.destroy()
  const sent = fault.body ?? body
  const all: Record<string, string | string[]> = {
    'content-length': String(sent.length),
    ...headers,
  }
  response.statusCode = status
  for (const [name, value] of Object.entries(all)) response.setHeader(name, value)
  for (const [name, value] of Object.entries(fault.change ?? {})) {
    if (value === null) response.removeHeader(name)
    else response.setHeader(name, value)
  }
  if (method === 'HEAD') response.end()
  else if (fault.cutAt !== undefined && method === 'GET')
    response.write(sent.subarray(0, fault.cutAt), () => response.destroy())
  else response.end(sent)
}

async function putManifest(exchange: Exchange): Promise<void> {
  const { state, request, response, repository, rest } = exchange
  const { referrers = true, sparseIndexes = false } = state.options
  const reference = decodeURIComponent(rest)
  const body = await readAll(request)
  const document = JSON.parse(body.toString()) as Manifest
  const isSparse = sparseIndexes && document.manifests !== undefined
  if (!isSparse && hasMissingContent(state, repository, document)) {
    return refuse(response, 400, 'MANIFEST_BLOB_UNKNOWN')
  }
  const mediaType = request.headers['content-type'] ?? ''
  const tag = reference.startsWith('sha256:') ? null : reference
  const digest = addManifest(state, repository, tag, { body, mediaType })
  const subject = document.subject?.digest
  const subjectHeader = referrers && subject !== undefined ? { 'oci-subject': subject } : {}
  const headers = { 'docker-content-digest': digest, location: '/', ...subjectHeader }
  respond(exchange, 201, headers)
}

function hasMissingContent(
  { blobs, manifests }: State,
  repository: string,
  { config, layers = [], manifests: children = [] }: Manifest,
): boolean {
  const needed = [...(config === undefined ? [] : [config]), ...layers]
  const present = within(blobs, repository)
  return (
    needed.some(
      ({ digest, mediaType = '' }) => !present.has(digest) && !mediaType.includes('foreign'),
    ) || children.some(({ digest }) => !within(manifests, repository).has(digest))
  )
}

function getManifest(exchange: Exchange): void {
  const { state, response, repository, rest } = exchange
  const reference = decodeURIComponent(rest)
  const digest = within(state.tags, repository).get(reference) ?? reference
  const manifest = within(state.manifests, repository).get(digest)
  if (manifest === undefined) return refuse(response, 404, 'MANIFEST_UNKNOWN')
  const headers = { 'content-type': manifest.mediaType, 'docker-content-digest': digest }
  respond(exchange, 200, headers, manifest.body)
}

function listTags(exchange: Exchange): void {
  const { state, response, repository, url } = exchange
  const { pageSize = 1_000 } = state.options
  if (!state.tags.has(repository)) return refuse(response, 404, 'NAME_UNKNOWN')
  const all = [...within(state.tags, repository).keys()].sort()
  const last = url.searchParams.get('last')
  const size = Math.min(Number(url.searchParams.get('n') ?? pageSize), pageSize)
  const start = last === null ? 0 : all.indexOf(last) + 1
  const page = all.slice(start, start + size)
  const next = `/v2/${repository}/tags/list?n=${size}&last=${page.at(-1)}`
  const link = start + size < all.length ? linkTo(state, next) : {}
  const body = Buffer.from(JSON.stringify({ name: repository, tags: page }))
  respond(exchange, 200, { 'content-type': 'application/json', ...link }, body)
}

function linkTo(
  { options: { link = (path) => `<${path}>; rel="next"` } }: State,
  path: string,
): Record<string, string | string[]> {
  return { link: link(path) }
}

function listReferrers(exchange: Exchange): void {
  const { state, response, repository, rest, url } = exchange
  const { pageSize = 1_000 } = state.options
  if (state.options.referrers === false) return refuse(response, 404, 'NOT_FOUND')
  const stored = [...within(state.manifests, repository)]
  const manifests = stored.flatMap(([digest, { body, mediaType }]) => {
    const { subject, artifactType } = JSON.parse(body.toString()) as Manifest
    return subject?.digest === rest ? [{ digest, mediaType, size: body.length, artifactType }] : []
  })
  const end = Number(url.searchParams.get('from') ?? 0) + pageSize
  const next = `/v2/${repository}/referrers/${rest}?from=${end}`
  const link = end < manifests.length ? linkTo(state, next) : {}
  const page = manifests.slice(end - pageSize, end)
  const index = { schemaVersion: 2, mediaType: indexType, manifests: page }
  const body = Buffer.from(JSON.stringify(index))
  respond(exchange, 200, { 'content-type': indexType, ...link }, body)
}

function getBlob(exchange: Exchange): void {
  const { state, request, response, repository, rest } = exchange
  const blob = within(state.blobs, repository).get(rest)
  if (blob === undefined) return refuse(response, 404, 'BLOB_UNKNOWN')
  const [, from] = /^bytes=([0-9]+)-/.exec(request.headers.range ?? '') ?? []
  if (from === undefined || state.options.ranges === false) return respond(exchange, 200, {}, blob)
  const range = `bytes ${from}-${blob.length - 1}/${blob.length}`
  respond(exchange, 206, { 'content-range': range }, blob.subarray(Number(from)))
}

function startUpload(exchange: Exchange): void {
  const { state, request, repository, url } = exchange
  const { mounts = true } = state.options
  const mount = url.searchParams.get('mount')
  const from = url.searchParams.get('from') ?? ''
  request.resume()
  const blob = mount === null ? undefined : within(state.blobs, from).get(mount)
  if (mounts && mount !== null && blob !== undefined) {
    within(state.blobs, repository).set(mount, blob)
    return respond(exchange, 201, { location: '/', 'docker-content-digest': mount })
  }
  const id = randomUUID()
  state.uploads.set(id, Buffer.alloc(0))
  respond(exchange, 202, { location: uploadLocation(exchange, id) })
}

function uploadLocation({ state, repository }: Exchange, id: string): string {
  const { location = (path) => path } = state.options
  return location(`/v2/${repository}/blobs/uploads/${id}?state=x`)
}

async function upload(exchange: Exchange): Promise<void> {
  const { state, request, response, repository, rest, method, url, fault } = exchange
  const { uploads, blobs } = state
  const id = rest.slice('uploads/'.length)
  if (method === 'POST') return startUpload(exchange)
  const before = uploads.get(id)
  if (before === undefined) {
    request.resume()
    return refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN')
  }
  const location = uploadLocation(exchange, id)
  if (method === 'GET')
    return respond(exchange, 204, { location, range: `0-${Math.max(0, before.length - 1)}` })
  if (method === 'DELETE') {
    uploads.delete(id)
    return respond(exchange, 204, {})
  }
  const [, start] = /^([0-9]+)-/.exec(request.headers['content-range'] ?? '') ?? []
  if (start !== undefined && Number(start) !== before.length) {
    request.resume()
    return refuse(response, 416, 'RANGE_INVALID')
  }
  const body = await readAll(request, fault.cutAt)
  const content = Buffer.concat([before, body])
  uploads.set(id, content)
  if (fault.cutAt !== undefined) return void request.socket.destroy()
  if (method === 'PATCH') {
    return respond(exchange, 202, { location, range: `0-${content.length - 1}` })
  }
  const digest = url.searchParams.get('digest') ?? ''
  if (digestOf(content) !== digest) return refuse(response, 400, 'DIGEST_INVALID')
  within(blobs, repository).set(digest, content)
  uploads.delete(id)
  respond(exchange, 201, { location: '/', 'docker-content-digest': digest })
}

interface Manifest {
  readonly config?: { readonly digest: string; readonly mediaType?: string }
  readonly layers?: readonly { readonly digest: string; readonly mediaType?: string }[]
  readonly manifests?: readonly { readonly digest: string }[]
  readonly subject?: { readonly digest: string }
  readonly artifactType?: string
}

/** Returns true if the fault ended the request. */
async function failRequest(
  { cut, status, code = 'UNKNOWN', headers }: Fault,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  if (cut) request.socket.destroy()
  if (cut || status === undefined) return cut === true
  request.resume()
  if (request.method !== 'HEAD' && request.method !== 'GET') await once(request, 'end')
  refuse(response, status, code, headers)
  return true
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = JSON.stringify({ errors: [{ code, message: 'UNTRUSTED TEXT' }] })
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
}

/** Returns the body of a request, or its first bytes. */
async function readAll(request: IncomingMessage, limit = Infinity): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunks.push(chunk.subarray(0, limit - size))
    size += chunk.length
    if (size >= limit) break
  }
  return Buffer.concat(chunks)
}

/** Returns bytes that are the same for the same seed. */
export function bytes(size: number, seed = 'x'): Buffer {
  const block = createHash('sha512').update(seed).digest()
  return Buffer.concat(
    Array.from({ length: Math.ceil(size / block.length) }, () => block),
  ).subarray(0, size)
}
