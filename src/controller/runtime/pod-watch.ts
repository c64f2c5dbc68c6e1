/**
 * One watch of all pods for all loops that need it. Each loop keeps what it needs of each pod; the watch itself keeps only
 * their names.
 */
import { onAbort } from '../../async/abort.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import { startInformer } from '../../kube/informer.ts'
import { type KubeObject, namespacedName } from '../../kube/object.ts'
import { createRefusals, type Refusals } from '../../kube/refusals.ts'
import type { Logger } from '../../telemetry/log.ts'
import { createWatchErrorLog } from './watch-error-log.ts'

export interface PodFollower<Item> {
  /** The name of the loop. */
  readonly loop: string
  /** Returns the part of a pod to keep in memory; null keeps nothing. `before` is what was kept of the pod with its name. */
  readonly transform: (pod: KubeObject, before: Item | null) => Item | null
  /** Called after each change: `item` is null for a pod that is gone or no longer kept, `before` for a new one. */
  readonly onChange: (item: Item | null, before: Item | null) => void
  /** Called before a failed list or watch is retried. */
  readonly onError?: (error: unknown) => void
  readonly log: Pick<Logger, 'warn' | 'debug'>
  /** What to do if the right to list and watch pods is missing. */
  readonly missingRightFix: string
  readonly signal: AbortSignal
}

export interface FollowedPods<Item> {
  /** By `namespace/name`. */
  readonly items: ReadonlyMap<string, Item>
  /** Resolves after the first list; rejects when the signal aborts before. */
  readonly synced: Promise<void>
}

export interface PodWatch {
  follow<Item>(follower: PodFollower<Item>): FollowedPods<Item>
}

/** The pods that one follower keeps. */
interface Store {
  readonly loop: string
  put(key: string, pod: KubeObject | null): void
  /** Call it with the keys of all pods after a list. */
  synced(keys: Pick<ReadonlyMap<string, unknown>, 'has'>): void
  onError(error: unknown, isRepeated: boolean): void
}

const ref = { apiVersion: 'v1', resource: 'pods' }

/** The key in a loop's refusals under which it remembers that it has logged the missing right. */
const refusalKey = 'pods'

/**
 * Returns a watch, which starts with the first follower and ends with the last. A new follower starts the watch again, because
 * it needs a list: loops that start together share one list. `refusalsOf` outlives the watch, so that a loop does not retry
 * a refused request at once.
 */
export function createPodWatch(
  api: KubeApi,
  refusalsOf: (loop: string) => Refusals = createRefusals(),
): PodWatch {
  const stores = new Set<Store>()
  let running: AbortController | null = null
  let isStarting = false

  function start(): void {
    isStarting = false
    running?.abort()
    if (stores.size === 0) return
    const { signal } = (running = new AbortController())
    const { items, synced } = startInformer<KubeObject, true>(api, {
      ref,
      // Without a selection: a pod that no longer matches one looks like a deleted pod.
      transform: (pod) => {
        for (const store of stores) store.put(namespacedName(pod), pod)
        return true
      },
      onChange: (key, item) => {
        if (item === null) for (const store of stores) store.put(key, null)
      },
      onError: (error, isRepeated) => {
        for (const store of stores) store.onError(error, isRepeated)
      },
      refusals: refusalsOf([...stores].map(({ loop }) => loop).join(' ')),
      signal,
    })
    // Not a follower that was added meanwhile, which needs another list.
    const followers = [...stores]
    void finishList(synced, () => {
      for (const store of followers) store.synced(items)
    })
  }

  return {
    follow(follower) {
      const { store, items, synced } = createStore(follower, refusalsOf(follower.loop))
      stores.add(store)
      onAbort(follower.signal, () => {
        stores.delete(store)
        if (stores.size === 0) running?.abort()
      })
      if (!isStarting) setImmediate(start)
      isStarting = true
      return { items, synced }
    },
  }
}

async function finishList(synced: Promise<void>, onSynced: () => void): Promise<void> {
  try {
    await synced
  } catch {
    // Aborted: another watch follows, or no one needs one.
    return
  }
  onSynced()
}

function createStore<Item>(
  { loop, transform, onChange, onError, log, missingRightFix, signal }: PodFollower<Item>,
  refusals: Refusals,
): FollowedPods<Item> & { readonly store: Store } {
  const items = new Map<string, Item>()
  const synced = Promise.withResolvers<void>()
  synced.promise.catch(() => undefined)
  onAbort(signal, () => synced.reject(signal.reason))
  const logError = createWatchErrorLog(log, missingRightFix)

  function put(key: string, pod: KubeObject | null): void {
    const before = items.get(key) ?? null
    const item = pod === null ? null : transform(pod, before)
    if (item === null) items.delete(key)
    else items.set(key, item)
    if (item !== null || before !== null) onChange(item, before)
  }

  const store: Store = {
    loop,
    put,
    synced(keys) {
      for (const key of items.keys()) if (!keys.has(key)) put(key, null)
      refusals.delete(refusalKey)
      synced.resolve()
    },
    onError(error, isRepeated) {
      // The other loops may have been refused before, but this one was not.
      const isKnown = hasStatus(error, 403) && refusals.get(refusalKey) !== undefined
      if (hasStatus(error, 403)) refusals.set(refusalKey, { error, count: 1, retryAt: 0 })
      logError(error, isKnown || isRepeated, ref)
      onError?.(error)
    },
  }
  return { store, items, synced: synced.promise }
}
