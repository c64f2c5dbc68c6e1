/**
 * Starts the informers for pull secrets: sources, copies, other secrets with the names of copies, service accounts,
 * namespaces and stuck pods. The API server filters every watch, so the data of other secrets never reaches the process.
 */
import type { Config } from '../../config/config.ts'
import { formatSource, type SourceName } from '../../config/copy-settings.ts'
import type { KubeApi, Selection } from '../../kube/api-client.ts'
import { type Informer, startInformer } from '../../kube/informer.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'
import type { Refusals } from '../../kube/refusals.ts'
import { consentLabel, consentValue, copyLabel, managedBy, managedByLabel } from '../labels.ts'
import {
  type AccountState,
  type ExistingSecret,
  type NamespaceMeta,
  readAccount,
  readCopy,
  readForeign,
  readSourceSecret,
  type SourceSecret,
} from '../objects.ts'
import { readStuckPod, type StuckPod } from '../stuck-pods.ts'
import { startNamespaceInformer } from './namespace-informer.ts'
import { createObjectStore, type ObjectStore, type Versioned } from './object-store.ts'

export interface ClusterCache {
  readonly namespaces: ReadonlyMap<string, NamespaceMeta>
  readonly accounts: ObjectStore<AccountState>
  readonly secrets: ObjectStore<ExistingSecret>
  readonly pods: ObjectStore<StuckPod>
  /** Returns null for a source that does not exist or does not consent. */
  source(name: SourceName): SourceSecret | null
  /** Returns whether the source has been read. */
  isSourceRead(name: SourceName): boolean
  /** Returns whether the secrets with this name and the service accounts of the namespace have been read. */
  isReady(namespace: string, copy: string): boolean
  /** Resolves when each list has succeeded or failed once. Rejects when the signal aborts before. */
  readonly settled: Promise<void>
}

export interface ClusterCacheOptions {
  readonly api: KubeApi
  readonly refusals?: Refusals | undefined
  readonly settings: Config['pullSecretCopies']
  /** Whether to follow pods too. Default: false. */
  readonly withPods?: boolean
  /** Milliseconds between two reads of the namespaces where they cannot be watched. */
  readonly namespacePollMs?: number | undefined
  readonly signal: AbortSignal
  /** Called when an object in the namespace has changed. */
  readonly onNamespace: (namespace: string) => void
  /** Called when a source has changed or a copy has become ready, which may concern every namespace. */
  readonly onSources: () => void
  /** Called before a failed list or watch is retried; `isRepeated` until one succeeds. */
  readonly onError: (error: unknown, isRepeated: boolean, collection: ResourceRef) => void
}

/** One namespace, or all. */
type Scope = string
const allNamespaces: Scope = '*'

/** Returns the namespaces that are followed one by one; null when all are followed together. */
export function scopesOf({ copies, rbac }: Config['pullSecretCopies']): readonly string[] | null {
  if (rbac === 'cluster') return null
  return [...new Set(copies.flatMap(({ namespaces }) => namespaces.exactNames ?? []))]
}

/** Starts the informers, which run until the signal aborts. */
export function startInformers(options: ClusterCacheOptions): ClusterCache {
  const { api, settings, namespacePollMs, onNamespace, signal } = options
  const context: InformerContext = {
    ...options,
    accounts: createObjectStore<AccountState>(),
    secrets: createObjectStore<ExistingSecret>(),
    pods: createObjectStore<StuckPod>(),
    ready: new Set<string>(),
    settled: [],
  }
  const scopes = scopesOf(settings)
  const namespaces = startNamespaceInformer({
    api,
    start: (...collection) => start(context, ...collection),
    names: scopes,
    pollMs: namespacePollMs,
    onNamespace,
    signal,
  })
  for (const scope of scopes ?? [allNamespaces]) startScope(context, scope)
  const sources = startSources(context)
  const { accounts, secrets, pods, ready, settled } = context
  return {
    namespaces: namespaces.items,
    accounts,
    secrets,
    pods,
    source: (name) => sources.get(formatSource(name))?.items.get(formatSource(name)) ?? null,
    isSourceRead: (name) => sources.get(formatSource(name))?.isRead === true,
    isReady: (namespace, copy) =>
      ready.has(`${scopes === null ? allNamespaces : namespace}/${copy}`),
    settled: Promise.all([namespaces.settled, ...settled]).then(() => undefined),
  }
}

interface InformerContext extends ClusterCacheOptions {
  readonly accounts: ObjectStore<AccountState>
  readonly secrets: ObjectStore<ExistingSecret>
  readonly pods: ObjectStore<StuckPod>
  /** `scope/copy` of what has been read. */
  readonly ready: Set<string>
  readonly settled: Promise<unknown>[]
}

interface Handlers<Item> {
  readonly transform: (object: KubeObject) => Item | null
  readonly onChange: (key: string, item: Item | null) => void
}

function start<Item>(
  { api, refusals, onError, signal, settled }: InformerContext,
  ref: ResourceRef,
  selection: Selection,
  handlers: Handlers<Item>,
): Informer<Item> {
  const failed = Promise.withResolvers<void>()
  const informer = startInformer<KubeObject, Item>(api, {
    ref,
    selection,
    ...handlers,
    onError: (error, isRepeated) => {
      onError(error, isRepeated, ref)
      failed.resolve()
    },
    refusals,
    signal,
  })
  settled.push(Promise.race([informer.synced, failed.promise]))
  return informer
}

const copySelector = `${managedByLabel}=${managedBy},${copyLabel}`
/** All other secrets, by two selectors, because label selectors have no OR. */
export const foreignSelectors = [`!${copyLabel}`, `${copyLabel},${managedByLabel}!=${managedBy}`]

/** Follows the service accounts, secrets and pods of one namespace, or of all. */
function startScope(context: InformerContext, scope: Scope): void {
  const { settings, ready, accounts, pods, onSources } = context
  const within = scope === allNamespaces ? {} : { namespace: scope }
  const accountInformer = start<AccountState>(
    context,
    { apiVersion: 'v1', resource: 'serviceaccounts', ...within },
    {},
    { transform: readAccount, onChange: storeIn(context, accounts) },
  )
  for (const { name, namespaces } of settings.copies) {
    if (scope !== allNamespaces && !namespaces.matches(scope, {})) continue
    const secretInformers = startSecrets(context, name, within)
    whenSynced([accountInformer, ...secretInformers], () => {
      ready.add(`${scope}/${name}`)
      onSources()
    })
  }
  if (context.withPods !== true) return
  // A pod is Pending until its first container starts (kubelet, getPhase).
  start<StuckPod>(
    context,
    { apiVersion: 'v1', resource: 'pods', ...within },
    { fieldSelector: 'status.phase=Pending' },
    { transform: (pod) => readStuckPod(pod), onChange: storeIn(context, pods) },
  )
}

/** Follows the copies with this name, and the metadata of other secrets with this name. */
function startSecrets(
  context: InformerContext,
  name: string,
  within: Pick<ResourceRef, 'namespace'>,
): readonly Informer<ExistingSecret>[] {
  const ref: ResourceRef = { apiVersion: 'v1', resource: 'secrets', ...within }
  const fieldSelector = `metadata.name=${name}`
  const ofKind = (kind: ExistingSecret['kind']) =>
    storeIn(context, context.secrets, (secret) => secret.kind === kind)
  return [
    start<ExistingSecret>(
      context,
      ref,
      { fieldSelector, labelSelector: copySelector },
      { transform: readCopy, onChange: ofKind('copy') },
    ),
    ...foreignSelectors.map((labelSelector) =>
      start<ExistingSecret>(
        context,
        ref,
        { fieldSelector, labelSelector, metadataOnly: true },
        { transform: readForeign, onChange: ofKind('foreign') },
      ),
    ),
  ]
}

interface SourceInformer {
  readonly items: ReadonlyMap<string, SourceSecret>
  isRead: boolean
}

/** Follows each source once, by `namespace/name`. */
function startSources(context: InformerContext): ReadonlyMap<string, SourceInformer> {
  const { settings, onSources } = context
  const sources = new Map<string, SourceInformer>()
  for (const source of settings.copies.flatMap(({ from }) => from)) {
    const key = formatSource(source)
    if (sources.has(key)) continue
    const informer = start<SourceSecret>(
      context,
      { apiVersion: 'v1', resource: 'secrets', namespace: source.namespace },
      {
        fieldSelector: `metadata.name=${source.name}`,
        labelSelector: `${consentLabel}=${consentValue}`,
      },
      { transform: readSourceSecret, onChange: () => onSources() },
    )
    const entry = { items: informer.items, isRead: false }
    sources.set(key, entry)
    whenSynced([informer], () => {
      entry.isRead = true
      onSources()
    })
  }
  return sources
}

/**
 * Returns a handler that copies changes into a store. Several informers may feed one store, so `isOwn` says whether a stored
 * object came from this one.
 */
function storeIn<Item extends Versioned>(
  { onNamespace }: InformerContext,
  store: ObjectStore<Item>,
  isOwn: (stored: Item) => boolean = () => true,
): (key: string, item: Item | null) => void {
  return (key, item) => {
    const [namespace = '', name = ''] = key.split('/')
    const stored = store.get(namespace, name)
    if (item !== null) {
      if (!store.put(namespace, name, item)) return
    } else if (stored !== null && isOwn(stored)) store.delete(namespace, name)
    else return
    onNamespace(namespace)
  }
}

/** Calls back when all informers are synced; never if the signal aborts before. */
function whenSynced(
  informers: readonly { readonly synced: Promise<void> }[],
  onSynced: () => void,
): void {
  Promise.all(informers.map(({ synced }) => synced)).then(onSynced, () => undefined)
}
