/**
 * Keeps a collection in memory in step with the API server: one list, then watches from its version, and a new list when a
 * watch cannot continue (client-go's reflector.go). Detects a watch that has stalled without ending.
 */
import { linkAbort, onAbort } from '../async/abort.ts'
import { type Backoff, backoffMs } from '../async/backoff.ts'
import { sleep } from '../async/sleep.ts'
import type { KubeApi, Selection } from './api-client.ts'
import { hasStatus, KubeError } from './error.ts'
import { type KubeObject, namespacedName, pathOf, type ResourceRef } from './object.ts'
import type { Refusals } from './refusals.ts'

export interface InformerOptions<T extends KubeObject, Item> {
  readonly ref: ResourceRef
  readonly selection?: Selection
  /** Returns what is kept of an object, to save memory; null keeps nothing. */
  readonly transform: (object: T) => Item | null
  /** Called after each change of the collection: `item` is null for a deleted object, `before` for a new one. */
  readonly onChange?: (key: string, item: Item | null, before: Item | null) => void
  /** Called before a failed list or watch is retried; `isRepeated` until one succeeds. */
  readonly onError?: (error: unknown, isRepeated: boolean) => void
  /** What the API server refused to an informer that this one replaces. Default: nothing. */
  readonly refusals?: Refusals | undefined
  readonly times?: Partial<InformerTimes>
  readonly signal: AbortSignal
}

export interface InformerTimes {
  /** Milliseconds without a line after which a watch counts as stalled. */
  readonly stallMs: number
  /** The least milliseconds between the starts of two watches, in case a proxy ends each one at once. */
  readonly minIntervalMs: number
  readonly backoff: Backoff
  /** The delays while the right to list or watch is missing. */
  readonly forbiddenBackoff: Backoff
}

export interface Informer<Item> {
  /** By `namespace/name`, or by the name of a cluster-scoped object. */
  readonly items: ReadonlyMap<string, Item>
  /** Resolves after the first list; rejects when `signal` aborts before. */
  readonly synced: Promise<void>
}

const defaultTimes: InformerTimes = {
  // The API server sends a bookmark every minute (KEP-956), so three are missing.
  stallMs: 180_000,
  minIntervalMs: 1_000,
  // client-go's reflector backs off from 0.8 s to 30 s.
  backoff: { firstMs: 800, maxMs: 30_000, jitter: 0.5 },
  // Short at first, because rights are often granted right after the start.
  forbiddenBackoff: { firstMs: 10_000, maxMs: 600_000, jitter: 0.1 },
}

/** The API server ends each watch after this time; client-go asks for 5 to 10 minutes (reflector.go, minWatchTimeout). */
const watchSeconds = 300

/** Starts an informer, which runs until `signal` aborts. Never throws. */
export function startInformer<T extends KubeObject, Item>(
  api: KubeApi,
  options: InformerOptions<T, Item>,
): Informer<Item> {
  const { signal } = options
  const store = createStore(options)
  const synced = Promise.withResolvers<void>()
  synced.promise.catch(() => undefined)
  onAbort(signal, () => synced.reject(signal.reason))
  void listAndWatch(api, options, { store, onSynced: synced.resolve })
  return { items: store.items, synced: synced.promise }
}

interface Store<T extends KubeObject, Item> {
  readonly items: ReadonlyMap<string, Item>
  /** Returns the object's key. */
  put(object: T): string
  delete(key: string): void
  /** Deletes all other keys. */
  retain(keys: ReadonlySet<string>): void
}

function createStore<T extends KubeObject, Item>({
  transform,
  onChange,
}: InformerOptions<T, Item>): Store<T, Item> {
  const items = new Map<string, Item>()

  function set(key: string, item: Item | null): void {
    const before = items.get(key) ?? null
    if (item === null) items.delete(key)
    else items.set(key, item)
    if (item !== null || before !== null) onChange?.(key, item, before)
  }

  return {
    items,
    put(object) {
      const key = namespacedName(object)
      set(key, transform(object))
      return key
    },
    delete: (key) => set(key, null),
    retain(keys) {
      for (const key of items.keys()) if (!keys.has(key)) set(key, null)
    },
  }
}

interface Progress {
  /** Where the next watch continues; null when a list has to come first. */
  version: string | null
  /** Failures in a row, except those for a missing right. */
  failures: number
  /** Failures for a missing right since the last success. */
  refusals: number
  /** Whether `onError` was called for one of them. */
  isReported: boolean
}

async function listAndWatch<T extends KubeObject, Item>(
  api: KubeApi,
  options: InformerOptions<T, Item>,
  { store, onSynced }: { readonly store: Store<T, Item>; readonly onSynced: () => void },
): Promise<void> {
  const { signal, onError } = options
  const times = { ...defaultTimes, ...options.times }
  const progress: Progress = { version: null, failures: 0, refusals: 0, isReported: false }
  const refusals = createRefusalMemory(options, progress)
  const onEvent = () => {
    recordSuccess(progress)
    refusals.forget('watch')
  }
  while (!signal.aborted) {
    const startedAt = performance.now()
    try {
      if (progress.version === null) {
        await refusals.wait('list')
        progress.version = await list(api, options, store)
        refusals.forget('list')
      }
      onSynced()
      await refusals.wait('watch')
      await watch(api, options, { store, progress, stallMs: times.stallMs, onEvent })
      onEvent()
      await sleep(Math.max(0, startedAt + times.minIntervalMs - performance.now()), signal)
    } catch (error) {
      if (signal.aborted) return
      const isExpired = hasStatus(error, 410)
      const verb = progress.version === null ? 'list' : 'watch'
      // A new list comes next.
      if (isExpired || error instanceof WatchError) progress.version = null
      const delayMs = delayAfter(error, progress, times)
      const isForbidden = hasStatus(error, 403)
      if (isForbidden) refusals.record(verb, error, delayMs)
      // A single expiry is normal: etcd compacts its history every five minutes.
      if (!isExpired || progress.failures > 1) {
        onError?.(error, isForbidden ? progress.refusals > 1 : progress.isReported)
        progress.isReported = true
      }
      await sleep(delayMs, signal)
    }
  }
}

function recordSuccess(progress: Progress): void {
  progress.failures = 0
  progress.refusals = 0
  progress.isReported = false
}

function delayAfter(error: unknown, progress: Progress, times: InformerTimes): number {
  if (hasStatus(error, 403)) {
    progress.refusals += 1
    progress.failures = 0
    return backoffMs(times.forbiddenBackoff, progress.refusals)
  }
  progress.failures += 1
  return backoffMs(times.backoff, progress.failures)
}

interface RefusalMemory {
  /** Waits for the rest of the delay after a refusal to an informer that this one replaces. */
  wait(verb: 'list' | 'watch'): Promise<void>
  record(verb: 'list' | 'watch', error: unknown, delayMs: number): void
  forget(verb: 'list' | 'watch'): void
}

function createRefusalMemory<T extends KubeObject, Item>(
  { ref, selection = {}, refusals, onError, signal }: InformerOptions<T, Item>,
  progress: Progress,
): RefusalMemory {
  const { labelSelector = '', fieldSelector = '' } = selection
  const keyOf = (verb: string) => [verb, pathOf(ref), labelSelector, fieldSelector].join(' ')
  return {
    async wait(verb) {
      const refusal = refusals?.get(keyOf(verb))
      // After its own refusal, this informer has waited.
      if (refusal === undefined || progress.refusals > 0) return
      progress.refusals = refusal.count
      progress.isReported = true
      onError?.(refusal.error, true)
      await sleep(Math.max(0, refusal.retryAt - performance.now()), signal)
    },
    record: (verb, error, delayMs) =>
      void refusals?.set(keyOf(verb), {
        error,
        count: progress.refusals,
        retryAt: performance.now() + delayMs,
      }),
    forget: (verb) => void refusals?.delete(keyOf(verb)),
  }
}

/** Replaces the collection by a new list and returns the list's version. */
async function list<T extends KubeObject, Item>(
  api: KubeApi,
  { ref, selection, signal }: InformerOptions<T, Item>,
  store: Store<T, Item>,
): Promise<string> {
  const listed = new Set<string>()
  const objects = api.list<T>(ref, selection, signal)
  for (;;) {
    const { done, value } = await objects.next()
    if (done === true) {
      store.retain(listed)
      return value.resourceVersion
    }
    listed.add(store.put(value))
  }
}

/** Applies the events of one watch until it ends. */
async function watch<T extends KubeObject, Item>(
  api: KubeApi,
  options: InformerOptions<T, Item>,
  {
    store,
    progress,
    stallMs,
    onEvent,
  }: {
    readonly store: Store<T, Item>
    readonly progress: Progress
    readonly stallMs: number
    readonly onEvent: () => void
  },
): Promise<void> {
  for await (const { type, object } of watchEvents(api, options, progress.version ?? '', stallMs)) {
    if (type === 'ERROR') throw new WatchError(object)
    onEvent()
    progress.version = object.metadata.resourceVersion ?? progress.version
    if (type === 'DELETED') store.delete(namespacedName(object))
    else if (type !== 'BOOKMARK') store.put(object)
  }
}

type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: T }
  | { readonly type: 'ERROR'; readonly object: WatchStatus }

/** A `metav1.Status`. */
interface WatchStatus {
  readonly code?: number
  readonly reason?: string
  readonly message?: string
}

/** The API server ended a watch with an error. */
class WatchError extends KubeError {
  constructor({ code = 500, reason = '', message = reason }: WatchStatus) {
    super(code, reason, `the API server ended the watch with ${code}: ${message}`)
  }
}

/** Yields the events of one watch. Throws when no line arrives for `stallMs`. */
async function* watchEvents<T extends KubeObject, Item>(
  api: KubeApi,
  { ref, selection = {}, signal }: InformerOptions<T, Item>,
  resourceVersion: string,
  stallMs: number,
): AsyncGenerator<WatchEvent<T>> {
  const { labelSelector, fieldSelector, metadataOnly } = selection
  const query = {
    resourceVersion,
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(watchSeconds),
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  }
  const request = linkAbort(signal)
  const timer = setTimeout(() => {
    request.abort(new Error(`the watch has been silent for ${stallMs / 1000} s`))
    api.reconnect()
  }, stallMs)
  try {
    const body = await api.watch(ref, query, { metadataOnly, signal: request.signal })
    for await (const line of readLines(body)) {
      timer.refresh()
      yield JSON.parse(line) as WatchEvent<T>
    }
  } finally {
    clearTimeout(timer)
    request.unlink()
    request.abort()
  }
}

/** Yields the complete lines; a last line without a newline was cut off and is dropped. */
async function* readLines(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer[] = []
  for await (const chunk of body) {
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...rest, chunk.subarray(start, end)]).toString('utf8')
      rest = []
      start = end + 1
      if (line !== '') yield line
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
  }
}
