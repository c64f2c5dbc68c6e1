/**
 * The part of the API server's REST interface that Berth uses (Kubernetes API concepts). Objects are raw JSON: a typed
 * model would drop fields that it does not know.
 */
import { hasStatus } from './error.ts'
import { type KubeObject, nameOf, pathOf, type ResourceRef } from './object.ts'
import {
  createTransport,
  type FindAccess,
  type KubeRequest,
  type Transport,
  type TransportOptions,
} from './transport.ts'

export interface Selection {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Fetches only the metadata (API conventions, "Receiving resources as PartialObjectMetadata"). */
  readonly metadataOnly?: boolean
  /** Fetches one page of at most so many objects, without retries. Default: all pages. */
  readonly page?: PageLimits
}

/** Throws `cluster-unreachable` if the response is longer than `maxBytes`. */
interface PageLimits {
  readonly limit: number
  readonly maxBytes: number
}

/** `apply` creates the object if it does not exist, and takes over fields of others (API concepts, "Server-Side Apply"). */
export type PatchKind = 'merge' | 'json' | 'strategic' | 'apply'

export interface WriteOptions {
  /** The API server checks the write and stores nothing. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
  /** How often to wait for a Retry-After and send the request again. Default: 10. */
  readonly maxRetries?: number
}

export interface Precondition {
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
}

/** Methods throw KubeError with the code `cluster-unreachable`, `cluster-forbidden` or `cluster-refused`. */
export interface KubeApi {
  /** Returns one object, or null when it does not exist. */
  get<T extends KubeObject>(
    ref: ResourceRef,
    options?: { readonly metadataOnly?: boolean; readonly signal?: AbortSignal },
  ): Promise<T | null>
  /** Yields all objects page by page, so that a large collection is never in memory as a whole. */
  list<T extends KubeObject>(
    ref: ResourceRef,
    selection?: Selection,
    signal?: AbortSignal,
  ): AsyncGenerator<T, { readonly resourceVersion: string }>
  /** Creates an object in the collection `ref`, or posts to a subresource: an eviction, a token request. */
  create<T extends KubeObject>(ref: ResourceRef, object: object, options?: WriteOptions): Promise<T>
  /** Replaces the whole object; throws 409 if `metadata.resourceVersion` is not the stored one. */
  replace<T extends KubeObject>(
    ref: ResourceRef,
    object: object,
    options?: WriteOptions,
  ): Promise<T>
  patch<T extends KubeObject>(
    ref: ResourceRef,
    kind: PatchKind,
    patch: object,
    options?: WriteOptions,
  ): Promise<T>
  /** Deletes an object and returns true, or false if it does not exist. Throws 409 if the precondition fails. */
  delete(ref: ResourceRef, precondition?: Precondition, options?: WriteOptions): Promise<boolean>
  /** Returns the body of one watch request, which the API server ends. Use an informer to follow a collection. */
  watch(
    ref: ResourceRef,
    query: Readonly<Record<string, string>>,
    options: { readonly metadataOnly?: boolean | undefined; readonly signal: AbortSignal },
  ): Promise<AsyncIterable<Buffer>>
  /**
   * Returns the JSON at any path of the API server: `/version`, `/apis/…`. With `maxBytes`, sends one request without retries, and
   * throws `cluster-unreachable` if the response is longer.
   */
  getRaw(path: string, signal?: AbortSignal, maxBytes?: number): Promise<unknown>
  /** Uses new connections from now on, because an open connection may be dead without having been closed. */
  reconnect(): void
  close(): Promise<void>
}

/** client-go's page size for lists (tools/pager/pager.go, defaultPageSize). */
const maxPageSize = 500

/** The first page shows how large the objects are: a Secret has up to 1 MiB, and a page is in memory as a whole. */
const firstPageSize = 10

/** In characters of JSON. */
const maxPageLength = 1_048_576

const patchTypes: Readonly<Record<PatchKind, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  // JSON is YAML.
  apply: 'application/apply-patch+yaml',
}

/** Creates a client, which calls `findAccess` for credentials once a minute and after a 401. */
export function createKubeApi(findAccess: FindAccess, options: TransportOptions = {}): KubeApi {
  const transport = createTransport(findAccess, options)
  const { json } = transport
  return {
    get: (ref, { metadataOnly, signal } = {}) =>
      nullIfNotFound(json({ ...readRequest(ref, acceptOne(metadataOnly)), signal })),
    list: (ref, selection = {}, signal) => listPages(transport, ref, selection, signal),
    create: (ref, object, write) => json(writeRequest('POST', ref, object, write)),
    replace: (ref, object, write) => json(writeRequest('PUT', ref, object, write)),
    patch: (ref, kind, patch, write) => json(patchRequest(ref, kind, patch, write)),
    delete: async (ref, preconditions, write) => {
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(preconditions === undefined ? {} : { preconditions }),
      }
      const response = json<object>(writeRequest('DELETE', ref, body, write))
      return (await nullIfNotFound(response)) !== null
    },
    watch: (ref, query, { metadataOnly, signal }) =>
      transport.stream({
        ...readRequest(ref, acceptOne(metadataOnly)),
        query: { ...query, watch: 'true' },
        signal,
      }),
    getRaw: (path, signal, maxBytes) =>
      json({
        method: 'GET',
        path,
        about: path,
        signal,
        ...(maxBytes === undefined ? {} : { maxBytes, maxRetries: 0 }),
      }),
    reconnect: () => void transport.reset(),
    close: () => transport.reset(),
  }
}

async function nullIfNotFound<T>(response: Promise<T>): Promise<T | null> {
  try {
    return await response
  } catch (error) {
    if (hasStatus(error, 404)) return null
    throw error
  }
}

interface ListPage<T> {
  /** Null for an empty list of metadata. */
  readonly items: readonly T[] | null
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
}

async function* listPages<T extends KubeObject>(
  { sizedJson }: Transport,
  ref: ResourceRef,
  { labelSelector, fieldSelector, metadataOnly, page: only }: Selection,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, { readonly resourceVersion: string }> {
  const accept = metadataOnly === true ? metadataType('PartialObjectMetadataList') : undefined
  const limits = only === undefined ? {} : { maxRetries: 0, maxBytes: only.maxBytes }
  const request = { ...readRequest(ref, accept), ...limits, signal }
  let limit = only?.limit ?? firstPageSize
  let next: string | undefined
  for (;;) {
    const query = { labelSelector, fieldSelector, limit: String(limit), continue: next }
    const { value: page, length } = await sizedJson<ListPage<T>>({ ...request, query })
    limit = nextPageSize(length / Math.max(1, page.items?.length ?? 0))
    yield* page.items ?? []
    next = page.metadata.continue
    if (only !== undefined || next === undefined || next === '')
      return { resourceVersion: page.metadata.resourceVersion }
  }
}

/** By the average size on the page before. The API server accepts another limit for each page. */
function nextPageSize(objectLength: number): number {
  return Math.max(1, Math.min(maxPageSize, Math.floor(maxPageLength / objectLength)))
}

function readRequest(ref: ResourceRef, accept: string | undefined): KubeRequest {
  return {
    method: 'GET',
    path: pathOf(ref),
    about: nameOf(ref),
    ...(accept === undefined ? {} : { accept }),
  }
}

function writeRequest(
  method: KubeRequest['method'],
  ref: ResourceRef,
  body: object,
  { dryRun = false, signal, maxRetries }: WriteOptions = {},
): KubeRequest {
  return {
    method,
    path: pathOf(ref),
    query: {
      // The owner of the fields in `metadata.managedFields`.
      fieldManager: method === 'DELETE' ? undefined : 'berth',
      dryRun: dryRun ? 'All' : undefined,
    },
    about: nameOf(ref),
    body,
    signal,
    maxRetries,
  }
}

function patchRequest(
  ref: ResourceRef,
  kind: PatchKind,
  patch: object,
  options: WriteOptions | undefined,
): KubeRequest {
  const request = writeRequest('PATCH', ref, patch, options)
  const query = { ...request.query, force: kind === 'apply' ? 'true' : undefined }
  return { ...request, query, contentType: patchTypes[kind] }
}

function acceptOne(metadataOnly: boolean | undefined): string | undefined {
  return metadataOnly === true ? metadataType('PartialObjectMetadata') : undefined
}

function metadataType(kind: string): string {
  return `application/json;as=${kind};g=meta.k8s.io;v=v1`
}
