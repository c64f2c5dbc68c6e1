/** Which namespaces there are, and their labels: by one watch, or by asking for each where only that is allowed. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeApi, Selection } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'
import { type NamespaceMeta, readNamespace } from '../objects.ts'

type Begin = (
  where: ResourceRef,
  selection: Selection,
  kept: {
    readonly transform: (object: KubeObject) => NamespaceMeta
    readonly onChange: (key: string, now: NamespaceMeta | null) => void
  },
) => { readonly synced: Promise<void> }

interface Followed {
  readonly items: ReadonlyMap<string, NamespaceMeta>
  /** Settles when each has been asked for once. */
  readonly answered: Promise<void>
}

interface Options {
  readonly onNamespace: (namespace: string) => void
  readonly signal: AbortSignal
}

/** Labels of a namespace change by hand and seldom; nobody waits for one. */
const pollMs = 30_000

const namespaces: ResourceRef = { apiVersion: 'v1', resource: 'namespaces' }

/** `names` null: all. A namespace that may not be asked for counts as there, without labels. */
export function followNamespaces(
  { api, begin }: { readonly api: KubeApi; readonly begin: Begin },
  names: readonly string[] | null,
  { onNamespace, signal }: Options,
): Followed {
  const items = new Map<string, NamespaceMeta>()
  const put = (name: string, now: NamespaceMeta | null) => {
    const before = items.get(name)
    if (now === null) items.delete(name)
    else items.set(name, now)
    if (before?.resourceVersion !== now?.resourceVersion) onNamespace(name)
  }
  if (names === null) {
    begin(namespaces, { metadataOnly: true }, { transform: readNamespace, onChange: put })
    return { items, answered: Promise.resolve() }
  }

  async function look(name: string): Promise<void> {
    try {
      const object = await api.get({ ...namespaces, name }, { metadataOnly: true, signal })
      put(name, object === null ? null : readNamespace(object))
    } catch (error) {
      if (hasStatus(error, 403)) put(name, { labels: {}, terminating: false, resourceVersion: '' })
    }
  }

  const lookAtAll = () => Promise.all(names.map(look)).then(() => undefined)
  async function poll(): Promise<void> {
    while (!signal.aborted) {
      await sleep(pollMs, undefined, { signal }).catch(() => undefined)
      if (!signal.aborted) await lookAtAll()
    }
  }
  const answered = lookAtAll()
  void answered.then(poll)
  return { items, answered }
}
