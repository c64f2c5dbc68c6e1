/**
 * A collection kept in step with the API server: one list, then a watch from there, and again from the start when the
 * watch cannot go on (client-go's reflector.go). Notices a watch that has gone silent without ending.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeApi, Selection } from './api-client.ts'
import { hasStatus } from './error.ts'
import type { KubeObject, ResourceRef } from './object.ts'

export interface InformerOptions<T extends KubeObject, Kept> {
  readonly ref: ResourceRef
  readonly selection?: Selection
  /** What is kept of an object; null keeps nothing of it. Keeps memory small where few fields matter. */
  readonly transform: (object: T) => Kept | null
  /** Told of each change, after the collection has it: `now` is null for what is gone, `before` null for what is new. */
  readonly onChange?: (key: string, now: Kept | null, before: Kept | null) => void
  /** Told of what went wrong before it is tried again. */
  readonly onError?: (error: unknown) => void
  /** Milliseconds without a line after which the watch counts as stalled. */
  readonly silentMs?: number
  readonly signal: AbortSignal
}

export interface Informer<Kept> {
  /** By `namespace/name`, or the name of a cluster-scoped object. */
  readonly items: ReadonlyMap<string, Kept>
  /** Settles when the first list has arrived. Rejects only when `signal` aborts before. */
  readonly synced: Promise<void>
  /** When the API server was last heard of, by `performance.now()`. */
  lastHeard(): number
}

/** A watch with bookmarks says something every minute (KEP-956): three missed ones are no accident. */
const defaultSilentMs = 180_000

/** The API server ends each watch at its own time; client-go asks for 5 to 10 minutes (reflector.go, minWatchTimeout). */
const watchSeconds = 300

/** client-go's reflector backs off from 0.8 s to 30 s. */
const backoff = { firstMs: 800, mostMs: 30_000 }

/** Watches are begun no faster than this. */
const leastMs = 1_000

function keyOf({ metadata: { namespace, name } }: KubeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

/** Starts; goes on until `signal` aborts. Never throws. */
export function startInformer<T extends KubeObject, Kept>(
  api: KubeApi,
  options: InformerOptions<T, Kept>,
): Informer<Kept> {
  const { signal, transform, onChange, onError } = options
  const items = new Map<string, Kept>()
  let heard = performance.now()
  /** Where the next watch goes on; null when a list has to come first. */
  let version: string | null = null
  const first = Promise.withResolvers<void>()
  first.promise.catch(() => undefined)
  signal.addEventListener('abort', () => first.reject(signal.reason), { once: true })

  function put(key: string, now: Kept | null): void {
    const before = items.get(key) ?? null
    if (now === null) items.delete(key)
    else items.set(key, now)
    if (now !== null || before !== null) onChange?.(key, now, before)
  }

  function forgetAllBut(seen: ReadonlySet<string>): void {
    for (const key of items.keys()) if (!seen.has(key)) put(key, null)
  }

  async function list(): Promise<string> {
    const seen = new Set<string>()
    const pages = api.list<T>(options.ref, options.selection, signal)
    for (;;) {
      const { done, value } = await pages.next()
      if (done === true) {
        forgetAllBut(seen)
        heard = performance.now()
        first.resolve()
        return value.resourceVersion
      }
      const key = keyOf(value)
      seen.add(key)
      put(key, transform(value))
    }
  }

  /** Follows one watch to its end. */
  async function follow(from: string): Promise<void> {
    for await (const { type, object } of events(from)) {
      if (type === 'ERROR') {
        version = null
        return
      }
      version = object.metadata.resourceVersion ?? version
      if (type !== 'BOOKMARK') put(keyOf(object), type === 'DELETED' ? null : transform(object))
    }
  }

  async function* events(resourceVersion: string): AsyncGenerator<WatchEvent<T>> {
    const { labelSelector, fieldSelector, metadataOnly } = options.selection ?? {}
    const query = {
      resourceVersion,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(watchSeconds),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    }
    const silence = new AbortController()
    const end = () => silence.abort(signal.reason)
    signal.addEventListener('abort', end, { once: true })
    const timer = setTimeout(() => {
      silence.abort(new Error('the watch has gone silent'))
      api.reconnect()
    }, options.silentMs ?? defaultSilentMs)
    try {
      const body = await api.watch(options.ref, query, { metadataOnly, signal: silence.signal })
      for await (const line of lines(body)) {
        timer.refresh()
        heard = performance.now()
        yield JSON.parse(line) as WatchEvent<T>
      }
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      silence.abort()
    }
  }

  async function pause(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => undefined)
  }

  async function run(): Promise<void> {
    let waitMs = backoff.firstMs
    while (!signal.aborted) {
      const started = performance.now()
      try {
        version ??= await list()
        await follow(version)
        waitMs = backoff.firstMs
        // Something in between may end each watch at once.
        await pause(leastMs - (performance.now() - started))
      } catch (error) {
        if (signal.aborted) return
        // 410: the version is no longer known, and only a list helps.
        if (hasStatus(error, 410)) version = null
        onError?.(error)
        // Half of it by chance, so that replicas do not come back in step.
        await pause(waitMs * (0.5 + Math.random() / 2))
        waitMs = Math.min(waitMs * 2, backoff.mostMs)
      }
    }
  }

  void run()
  return { items, synced: first.promise, lastHeard: () => heard }
}

interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: T
}

async function* lines(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
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
