/**
 * An OCI registry in this process that can be pushed to: strict as docker-registry is, until a test tells it to cut,
 * refuse, throttle or lie. Every request is logged.
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

export interface Fault {
  /** Answers this instead, with these headers and an error of this code. */
  readonly status?: number
  readonly code?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Closes the connection instead of answering. */
  readonly cut?: true
  /** Does what was asked, and then closes the connection instead of answering. */
  readonly cutAfter?: true
  /** Closes the connection after so many bytes of the answer's or the request's body; an upload keeps them. */
  readonly cutAt?: number
  /** Answers with this body instead, under the usual headers. */
  readonly body?: Buffer
  /** Headers of the usual answer that change; null takes one away. */
  readonly change?: Readonly<Record<string, string | null>>
}

export interface StoreOptions {
  /** False: a Range header is not understood. */
  readonly ranges?: boolean
  readonly referrers?: boolean
  /** False: asked to mount, it begins an ordinary upload. */
  readonly mounts?: boolean
  /** Repositories have to be made first, as on ECR. */
  readonly repositories?: Set<string>
  /** Page of a list of tags at the most. */
  readonly pageSize?: number
}

export interface Stored {
  readonly body: Buffer
  readonly mediaType: string
}

export interface Store {
  readonly host: string
  readonly url: string
  readonly requests: readonly StoreRequest[]
  /** `METHOD rest-of-path` of everything so far, digests as `sha256:…`. */
  log(): string[]
  readonly manifests: Map<string, Map<string, Stored>>
  readonly tags: Map<string, Map<string, string>>
  readonly blobs: Map<string, Map<string, Buffer>>
  readonly uploads: Map<string, Buffer>
  /** Puts an image there without a request; returns its digest. */
  addImage(repository: string, tag: string | null, image?: ImageContent): string
  addManifest(repository: string, tag: string | null, manifest: Stored): string
  addBlob(repository: string, content: Buffer): string
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

export async function startStore(options: StoreOptions = {}): Promise<Store> {
  const { ranges = true, referrers = true, mounts = true, pageSize = 1_000 } = options
  const manifests: Store['manifests'] = new Map()
  const tags: Store['tags'] = new Map()
  const blobs: Store['blobs'] = new Map()
  const uploads = new Map<string, Buffer>()
  const requests: StoreRequest[] = []
  let faultOf: Parameters<Store['fault']>[0] = () => null
  const of = <Value>(map: Map<string, Map<string, Value>>, repository: string) => {
    const found = map.get(repository) ?? new Map<string, Value>()
    map.set(repository, found)
    return found
  }

  const server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy())
  })

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const logged = described(request)
    const { method, path } = logged
    requests.push(logged)
    const fault = faultOf(logged, requests.length) ?? {}
    if (await misbehaves(fault, request, response)) return
    const url = new URL(path, 'http://x')
    const [, repository = '', kind = '', rest = ''] =
      /^\/v2\/(.+?)\/(manifests|blobs|tags|referrers)\/(.*)$/.exec(url.pathname) ?? []
    const isWrite = method !== 'GET' && method !== 'HEAD'
    if (isWrite && options.repositories?.has(repository) === false) {
      request.resume()
      return refuse(response, 404, 'NAME_UNKNOWN')
    }
    const context = { request, response, fault, url, repository, rest, method }
    if (kind === 'manifests') return onManifest(context)
    if (kind === 'tags') return onTags(context)
    if (kind === 'referrers') return onReferrers(context)
    return rest.startsWith('uploads/') ? onUpload(context) : onBlob(context)
  }

  interface Context {
    readonly request: IncomingMessage
    readonly response: ServerResponse
    readonly fault: Fault
    readonly url: URL
    readonly repository: string
    readonly rest: string
    readonly method: string
  }

  function answer(
    { response, fault, method }: Context,
    status: number,
    headers: Record<string, string>,
    body: Buffer = Buffer.alloc(0),
  ): void {
    if (fault.cutAfter) return void response.destroy()
    const given = fault.body ?? body
    const all: Record<string, string> = { 'content-length': String(given.length), ...headers }
    response.statusCode = status
    for (const [name, value] of Object.entries(all)) response.setHeader(name, value)
    for (const [name, value] of Object.entries(fault.change ?? {})) {
      if (value === null) response.removeHeader(name)
      else response.setHeader(name, value)
    }
    if (method === 'HEAD') response.end()
    else if (fault.cutAt !== undefined && method === 'GET')
      response.write(given.subarray(0, fault.cutAt), () => response.destroy())
    else response.end(given)
  }

  async function onManifest(context: Context): Promise<void> {
    const { request, response, repository, rest, method } = context
    const reference = decodeURIComponent(rest)
    if (method === 'PUT') {
      const body = await readAll(request)
      const digest = digestOf(body)
      const document = JSON.parse(body.toString()) as Manifest
      const missing = lacks(repository, document)
      if (missing) return refuse(response, 400, 'MANIFEST_BLOB_UNKNOWN')
      of(manifests, repository).set(digest, {
        body,
        mediaType: request.headers['content-type'] ?? '',
      })
      if (!reference.startsWith('sha256:')) of(tags, repository).set(reference, digest)
      const subject = document.subject?.digest
      const keeps = referrers && subject !== undefined ? { 'oci-subject': subject } : {}
      return answer(context, 201, { 'docker-content-digest': digest, location: '/', ...keeps })
    }
    const digest = of(tags, repository).get(reference) ?? reference
    const found = of(manifests, repository).get(digest)
    if (found === undefined) return refuse(response, 404, 'MANIFEST_UNKNOWN')
    answer(
      context,
      200,
      { 'content-type': found.mediaType, 'docker-content-digest': digest },
      found.body,
    )
  }

  function lacks(
    repository: string,
    { config, layers = [], manifests: children = [] }: Manifest,
  ): boolean {
    const needed = [...(config === undefined ? [] : [config]), ...layers]
    const own = of(blobs, repository)
    return (
      needed.some(
        ({ digest, mediaType = '' }) => !own.has(digest) && !mediaType.includes('foreign'),
      ) || children.some(({ digest }) => !of(manifests, repository).has(digest))
    )
  }

  function onTags(context: Context): void {
    const { response, repository, url } = context
    if (!tags.has(repository)) return refuse(response, 404, 'NAME_UNKNOWN')
    const all = [...of(tags, repository).keys()].sort()
    const last = url.searchParams.get('last')
    const size = Math.min(Number(url.searchParams.get('n') ?? pageSize), pageSize)
    const start = last === null ? 0 : all.indexOf(last) + 1
    const page = all.slice(start, start + size)
    const link: Record<string, string> =
      start + size < all.length
        ? { link: `</v2/${repository}/tags/list?n=${size}&last=${page.at(-1)}>; rel="next"` }
        : {}
    answer(
      context,
      200,
      { 'content-type': 'application/json', ...link },
      Buffer.from(JSON.stringify({ name: repository, tags: page })),
    )
  }

  function onReferrers(context: Context): void {
    const { response, repository, rest } = context
    if (!referrers) return refuse(response, 404, 'NOT_FOUND')
    const entries = [...of(manifests, repository)].flatMap(([digest, { body, mediaType }]) => {
      const { subject, artifactType } = JSON.parse(body.toString()) as Manifest
      return subject?.digest === rest
        ? [{ digest, mediaType, size: body.length, artifactType }]
        : []
    })
    answer(
      context,
      200,
      { 'content-type': indexType },
      Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: entries })),
    )
  }

  function onBlob(context: Context): void {
    const { request, response, repository, rest } = context
    const found = of(blobs, repository).get(rest)
    if (found === undefined) return refuse(response, 404, 'BLOB_UNKNOWN')
    const [, from] = /^bytes=([0-9]+)-/.exec(request.headers.range ?? '') ?? []
    if (from === undefined || !ranges) return answer(context, 200, {}, found)
    const range = `bytes ${from}-${found.length - 1}/${found.length}`
    answer(context, 206, { 'content-range': range }, found.subarray(Number(from)))
  }

  function onBegin(context: Context): void {
    const { request, repository, url } = context
    const mount = url.searchParams.get('mount')
    request.resume()
    const from = url.searchParams.get('from') ?? ''
    const neighbour = mount === null ? undefined : of(blobs, from).get(mount)
    if (mounts && mount !== null && neighbour !== undefined) {
      of(blobs, repository).set(mount, neighbour)
      return answer(context, 201, { location: '/', 'docker-content-digest': mount })
    }
    const made = randomUUID()
    uploads.set(made, Buffer.alloc(0))
    answer(context, 202, { location: `/v2/${repository}/blobs/uploads/${made}?state=x` })
  }

  async function onUpload(context: Context): Promise<void> {
    const { request, response, repository, rest, method, url, fault } = context
    const id = rest.slice('uploads/'.length)
    if (method === 'POST') return onBegin(context)
    const before = uploads.get(id)
    if (before === undefined) {
      request.resume()
      return refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN')
    }
    const location = `/v2/${repository}/blobs/uploads/${id}?state=x`
    if (method === 'GET')
      return answer(context, 204, { location, range: `0-${Math.max(0, before.length - 1)}` })
    if (method === 'DELETE') {
      uploads.delete(id)
      return answer(context, 204, {})
    }
    const [, start] = /^([0-9]+)-/.exec(request.headers['content-range'] ?? '') ?? []
    if (start !== undefined && Number(start) !== before.length) {
      request.resume()
      return refuse(response, 416, 'RANGE_INVALID')
    }
    const body = await readAll(request, fault.cutAt)
    const now = Buffer.concat([before, body])
    uploads.set(id, now)
    if (fault.cutAt !== undefined) return void request.socket.destroy()
    if (method === 'PATCH') return answer(context, 202, { location, range: `0-${now.length - 1}` })
    const digest = url.searchParams.get('digest') ?? ''
    if (digestOf(now) !== digest) return refuse(response, 400, 'DIGEST_INVALID')
    of(blobs, repository).set(digest, now)
    uploads.delete(id)
    answer(context, 201, { location: '/', 'docker-content-digest': digest })
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const addBlob = (repository: string, content: Buffer) => {
    const digest = digestOf(content)
    of(blobs, repository).set(digest, content)
    return digest
  }
  const addManifest: Store['addManifest'] = (repository, tag, manifest) => {
    const digest = digestOf(manifest.body)
    of(manifests, repository).set(digest, manifest)
    if (tag !== null) of(tags, repository).set(tag, digest)
    return digest
  }
  return {
    host,
    url: `http://${host}`,
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
    addBlob,
    addManifest,
    addImage(
      repository,
      tag,
      {
        layers = [Buffer.from(`layer of ${repository}:${tag}`)],
        subject,
        artifactType,
        more = {},
      } = {},
    ) {
      const descriptor = (content: Buffer, mediaType: string) => ({
        mediaType,
        digest: addBlob(repository, content),
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
      return addManifest(repository, tag, {
        body: Buffer.from(JSON.stringify(document)),
        mediaType: manifestType,
      })
    },
    fault(how) {
      faultOf = how
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

interface Manifest {
  readonly config?: { readonly digest: string; readonly mediaType?: string }
  readonly layers?: readonly { readonly digest: string; readonly mediaType?: string }[]
  readonly manifests?: readonly { readonly digest: string }[]
  readonly subject?: { readonly digest: string }
  readonly artifactType?: string
}

function described({ method = '', url: path = '', headers }: IncomingMessage): StoreRequest {
  return { method, path, headers }
}

/** True: that was the answer. */
async function misbehaves(
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

/** All of a request's body, or only so much of it. */
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

/** Bytes that are not all alike, the same at every run. */
export function bytes(size: number, seed = 'x'): Buffer {
  const block = createHash('sha512').update(seed).digest()
  return Buffer.concat(
    Array.from({ length: Math.ceil(size / block.length) }, () => block),
  ).subarray(0, size)
}
