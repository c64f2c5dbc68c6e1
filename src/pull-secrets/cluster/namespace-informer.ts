/** Follows the namespaces and their labels: with one watch, or by reading each one where RBAC allows only that. */
import { sleep } from '../../async/sleep.ts'
import type { KubeApi, Selection } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'
import { type NamespaceMeta, readNamespace } from '../objects.ts'

export interface NamespaceInformerOptions {
  readonly api: KubeApi
  /** Starts a watch. */
  readonly start: (
    ref: ResourceRef,
    selection: Selection,
    handlers: {
      readonly transform: (object: KubeObject) => NamespaceMeta
      readonly onChange: (key: string, namespace: NamespaceMeta | null) => void
    },
  ) => unknown
  /** The namespaces to read one by one; null to watch all. */
  readonly names: readonly string[] | null
  readonly pollMs?: number | undefined
  readonly onNamespace: (namespace: string) => void
  readonly signal: AbortSignal
}

export interface NamespaceInformer {
  readonly items: ReadonlyMap<string, NamespaceMeta>
  /** Resolves when each namespace has been read once; at once for a watch. */
  readonly settled: Promise<void>
}

/** Labels of namespaces change rarely. */
const defaultPollMs = 30_000

const namespaces: ResourceRef = { apiVersion: 'v1', resource: 'namespaces' }

/** A namespace that may not be read counts as existing and without labels. */
export function startNamespaceInformer({
  api,
  start,
  names,
  pollMs = defaultPollMs,
  onNamespace,
  signal,
}: NamespaceInformerOptions): NamespaceInformer {
  const items = new Map<string, NamespaceMeta>()
  const set = (name: string, namespace: NamespaceMeta | null) => {
    const before = items.get(name)
    if (namespace === null) items.delete(name)
    else items.set(name, namespace)
    if (before?.resourceVersion !== namespace?.resourceVersion) onNamespace(name)
  }
  if (names === null) {
    start(namespaces, { metadataOnly: true }, { transform: readNamespace, onChange: set })
    return { items, settled: Promise.resolve() }
  }

  async function read(name: string): Promise<void> {
    try {
      const object = await api.get({ ...namespaces, name }, { metadataOnly: true, signal })
      set(name, object === null ? null : readNamespace(object))
    } catch (error) {
      if (hasStatus(error, 403))
        set(name, { labels: {}, isTerminating: false, resourceVersion: '' })
    }
  }

  const readAll = () => Promise.all(names.map(read)).then(() => undefined)
  async function poll(): Promise<void> {
    while (!signal.aborted) {
      await sleep(pollMs, signal)
      if (!signal.aborted) await readAll()
    }
  }
  const settled = readAll()
  void settled.then(poll)
  return { items, settled }
}
