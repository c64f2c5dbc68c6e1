/**
 * The API server's REST interface, as far as Berth needs it (Kubernetes API concepts). Objects are raw JSON: a typed model
 * drops what it does not know. Requests of ours rather than client-node's, which opens a connection for each.
 */
import { type Dispatcher, request } from 'undici'
import type { Access } from './connect.ts'
import { KubeError } from './error.ts'
import { type KubeObject, nameOf, pathOf, type ResourceRef } from './object.ts'

export interface Selection {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Metadata alone travels (API conventions, "Receiving resources as PartialObjectMetadata"). */
  readonly metadataOnly?: boolean
}

export type PatchKind = 'merge' | 'json' | 'strategic'

export interface WriteOptions {
  /** Checked by the API server, stored nowhere. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
}

export interface Precondition {
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
}

/** Every method throws KubeError for an answer that is no success, with the codes `cluster-unreachable`, `cluster-forbidden` or `cluster-refused`. */
export interface KubeApi {
  /** One object; null when there is none. */
  get<T extends KubeObject>(
    where: ResourceRef,
    options?: { readonly metadataOnly?: boolean; readonly signal?: AbortSignal },
  ): Promise<T | null>
  /** All objects, page by page, so that a big cluster never stands whole in memory. */
  list<T extends KubeObject>(
    where: ResourceRef,
    selection?: Selection,
    signal?: AbortSignal,
  ): AsyncGenerator<T, { readonly resourceVersion: string }>
  /** Creates an object, or posts to a subresource (an eviction, a token request). `where` names the collection or the subresource. */
  create<T extends KubeObject>(
    where: ResourceRef,
    object: object,
    options?: WriteOptions,
  ): Promise<T>
  /** Replaces the whole object; refused with 409 if `metadata.resourceVersion` is not the stored one. */
  replace<T extends KubeObject>(
    where: ResourceRef,
    object: object,
    options?: WriteOptions,
  ): Promise<T>
  patch<T extends KubeObject>(
    where: ResourceRef,
    kind: PatchKind,
    patch: object,
    options?: WriteOptions,
  ): Promise<T>
  /** Deletes an object, if the precondition holds (409 otherwise); true if it was there. */
  delete(where: ResourceRef, precondition?: Precondition, options?: WriteOptions): Promise<boolean>
  /** The lines of a watch, as they come. Ends when the API server ends it; `watch.ts` makes a lasting one of it. */
  watch(
    where: ResourceRef,
    query: Readonly<Record<string, string>>,
    options: { readonly metadataOnly?: boolean | undefined; readonly signal: AbortSignal },
  ): Promise<AsyncIterable<Buffer>>
  /** Any path of the API server, for what is no resource: `/version`, `/apis/…`. */
  getRaw(path: string, signal?: AbortSignal): Promise<unknown>
  /** From now on over new connections: those that are open may lead nowhere without having ended. */
  reconnect(): void
  close(): Promise<void>
}

/** What client-go's reflector asks for in one page (pager.go, defaultPageSize). */
const pageSize = 500

/** Tokens of service accounts are rotated on disk, exec plugins' end: access is looked up again this often. */
const accessLifeMs = 60_000

/** A list of a big cluster takes seconds; a request that takes longer than the API server's own --request-timeout is lost. */
const answerMs = 60_000

const patchTypes: Readonly<Record<PatchKind, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
}

interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly accept?: string
  readonly body?: object
  readonly bodyType?: string
  /** What the request is about, for messages. */
  readonly about: string
  readonly signal?: AbortSignal | undefined
}

/** Makes the interface; `findAccess` is asked for credentials now and then, and at once after a 401. */
export function createKubeApi(findAccess: () => Promise<Access>): KubeApi {
  let current: { readonly access: Promise<Access>; readonly until: number } | null = null

  function access(): Promise<Access> {
    const now = performance.now()
    if (current !== null && now < current.until) return current.access
    void forget()
    const found = findAccess()
    current = { access: found, until: now + accessLifeMs }
    found.catch(() => forget())
    return found
  }

  /** What runs over the old connections goes on; nothing new does. */
  function forget(): Promise<unknown> {
    const old = current
    current = null
    if (old === null) return Promise.resolve()
    return old.access.then(({ dispatcher }) => dispatcher?.close()).catch(() => undefined)
  }

  async function send(
    ask: Ask,
    isStream: boolean,
    isRepeated = false,
  ): Promise<Dispatcher.ResponseData> {
    const { server, headers, dispatcher } = await access()
    const answer = request(urlOf(server, ask), {
      method: ask.method,
      headers: { ...headers, ...headersOf(ask) },
      body: ask.body === undefined ? null : JSON.stringify(ask.body),
      headersTimeout: answerMs,
      // A watch is silent for as long as nothing happens; watch.ts notices when it is too long.
      bodyTimeout: isStream ? 0 : answerMs,
      ...(dispatcher === undefined ? {} : { dispatcher }),
      ...(ask.signal === undefined ? {} : { signal: ask.signal }),
    })
    const response = await orAbort(answer, ask.signal).catch((cause: unknown) => {
      if (ask.signal?.aborted === true) throw cause
      const problem = `${server} does not answer (${reasonOf(cause)}); asked for ${ask.about}`
      throw new KubeError(null, '', problem, { cause })
    })
    if (response.statusCode < 400) return response
    if (response.statusCode === 401 && !isRepeated) {
      await response.body.dump()
      void forget()
      return send(ask, isStream, true)
    }
    throw await refusal(response, ask)
  }

  async function json<T>(ask: Ask): Promise<T> {
    const response = await send(ask, false)
    try {
      return (await response.body.json()) as T
    } catch (cause) {
      if (ask.signal?.aborted === true) throw cause
      throw new KubeError(
        null,
        '',
        `the answer about ${ask.about} broke off (${reasonOf(cause)})`,
        { cause },
      )
    }
  }

  return {
    get: async (where, options = {}) => {
      try {
        return await json({
          method: 'GET',
          path: pathOf(where),
          about: nameOf(where),
          accept: accepted(options.metadataOnly, false),
          signal: options.signal,
        })
      } catch (error) {
        if (error instanceof KubeError && error.status === 404) return null
        throw error
      }
    },
    list: async function* <T extends KubeObject>(
      where: ResourceRef,
      selection: Selection = {},
      signal?: AbortSignal,
    ) {
      const { labelSelector, fieldSelector, metadataOnly } = selection
      let next: string | undefined
      for (;;) {
        const page: ListPage<T> = await json({
          method: 'GET',
          path: pathOf(where),
          query: { labelSelector, fieldSelector, limit: String(pageSize), continue: next },
          about: nameOf(where),
          accept: accepted(metadataOnly, true),
          signal,
        })
        // An empty list of metadata comes as null.
        yield* page.items ?? []
        next = page.metadata.continue
        if (next === undefined || next === '')
          return { resourceVersion: page.metadata.resourceVersion }
      }
    },
    create: (where, object, options = {}) => json(writing('POST', where, object, options)),
    replace: (where, object, options = {}) => json(writing('PUT', where, object, options)),
    patch: (where, kind, patch, options = {}) =>
      json({ ...writing('PATCH', where, patch, options), bodyType: patchTypes[kind] }),
    delete: async (where, precondition, options = {}) => {
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(precondition === undefined ? {} : { preconditions: precondition }),
      }
      try {
        await json(writing('DELETE', where, body, options))
        return true
      } catch (error) {
        if (error instanceof KubeError && error.status === 404) return false
        throw error
      }
    },
    watch: async (where, query, { metadataOnly, signal }) => {
      const { body } = await send(
        {
          method: 'GET',
          path: pathOf(where),
          query: { ...query, watch: 'true' },
          about: nameOf(where),
          accept: accepted(metadataOnly, false),
          signal,
        },
        true,
      )
      return body
    },
    getRaw: (path, signal) => json({ method: 'GET', path, about: path, signal }),
    reconnect: () => void forget(),
    close: async () => {
      await forget()
    },
  }
}

function urlOf(server: string, { path, query = {} }: Ask): URL {
  const url = new URL(server.replace(/\/$/, '') + path)
  for (const [key, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(key, value)
  return url
}

function headersOf({ accept = 'application/json', body, bodyType = 'application/json' }: Ask) {
  return {
    accept,
    'user-agent': 'berth',
    ...(body === undefined ? {} : { 'content-type': bodyType }),
  }
}

/** undici hears of an abort only once it has a connection. */
function orAbort<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return answer
  return new Promise<T>((resolve, reject) => {
    const give = () => reject(signal.reason)
    signal.addEventListener('abort', give, { once: true })
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', give))
    if (signal.aborted) give()
  })
}

interface ListPage<T> {
  readonly items: readonly T[] | null
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
}

function writing(
  method: Ask['method'],
  where: ResourceRef,
  body: object,
  { dryRun = false, signal }: WriteOptions,
): Ask {
  return {
    method,
    path: pathOf(where),
    // Whose fields these are (server-side apply's bookkeeping).
    query: {
      fieldManager: method === 'DELETE' ? undefined : 'berth',
      dryRun: dryRun ? 'All' : undefined,
    },
    about: nameOf(where),
    body,
    signal,
  }
}

function accepted(metadataOnly: boolean | undefined, isList: boolean): string {
  if (metadataOnly !== true) return 'application/json'
  return `application/json;as=PartialObjectMetadata${isList ? 'List' : ''};g=meta.k8s.io;v=v1`
}

/** The API server says why in a `metav1.Status`; its message names the object and the rule. */
async function refusal(
  { statusCode, body }: Dispatcher.ResponseData,
  { about }: Ask,
): Promise<KubeError> {
  const text = await body.text().catch(() => '')
  let status: { readonly message?: unknown; readonly reason?: unknown } = {}
  try {
    status = (JSON.parse(text) ?? {}) as typeof status
  } catch {
    // A proxy in between answers with a page.
  }
  const said =
    typeof status.message === 'string' && status.message !== '' ? `: ${status.message}` : ''
  return new KubeError(
    statusCode,
    typeof status.reason === 'string' ? status.reason : '',
    `the API server answered ${statusCode} about ${about}${said}`,
  )
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as NodeJS.ErrnoException
  return code === undefined ? error.message : code
}
