/** What the cluster holds that matters to pull secrets, kept in step by watches. */
import type { Config } from '../../config/config.ts'
import type { KubeApi, Selection } from '../../kube/api-client.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'
import { startInformer } from '../../kube/informer.ts'
import {
  type AccountState,
  type NamespaceMeta,
  type ExistingSecret,
  readAccount,
  readCopy,
  readForeign,
  readSourceSecret,
  type SourceSecret,
} from '../objects.ts'
import { consentLabel, consentValue, copyLabel, managedBy, managedByLabel } from '../labels.ts'
import { formatSource, type SourceName } from '../../config/copy-settings.ts'
import { readStuckPod, type StuckPod } from '../stuck-pods.ts'
import { followNamespaces } from './namespace-informer.ts'
import { createStore, type Store, type Versioned } from './object-store.ts'

export interface ClusterCache {
  readonly namespaces: ReadonlyMap<string, NamespaceMeta>
  readonly accounts: Store<AccountState>
  readonly secrets: Store<ExistingSecret>
  readonly pods: Store<StuckPod>
  /** Null for a source that is not there or does not consent. */
  source(name: SourceName): SourceSecret | null
  /** Whether the source has been looked for. */
  knows(name: SourceName): boolean
  /** Whether all secrets of this name, and all accounts, of this namespace are known. */
  isReady(namespace: string, copy: string): boolean
  /** Settles when every question has had its first answer, if only a refusal. Rejects only when the signal aborts before. */
  readonly answered: Promise<void>
}

export interface ClusterCacheOptions {
  readonly settings: Config['pullSecretCopies']
  /** Left out: pods are of no interest. */
  readonly withPods?: boolean
  readonly signal: AbortSignal
  /** Something in this namespace has changed. */
  readonly onNamespace: (namespace: string) => void
  /** A source has changed, or a copy has become ready: every namespace may be concerned. */
  readonly onSources: () => void
}

interface Dependencies {
  readonly api: KubeApi
  /** Told of a watch that was broken off, before it is begun again. */
  readonly onTrouble: (error: unknown, about: ResourceRef & Selection) => void
}

const copySelector = `${managedByLabel}=${managedBy},${copyLabel}`
/** Everything else of that name. The API's selectors have no «or», so these are two. */
const foreignSelectors = [`!${copyLabel}`, `${copyLabel},${managedByLabel}!=${managedBy}`]

/** Starts the watches; they go on until the signal aborts. */
export function startInformers(
  dependencies: Dependencies,
  options: ClusterCacheOptions,
): ClusterCache {
  const { settings, onNamespace, onSources, signal } = options
  const accounts = createStore<AccountState>()
  const secrets = createStore<ExistingSecret>()
  const pods = createStore<StuckPod>()
  const ready = new Set<string>()
  const answers: Promise<unknown>[] = []

  function begin<Kept>(
    ref: ResourceRef,
    selection: Selection,
    kept: {
      readonly transform: (object: KubeObject) => Kept | null
      readonly onChange: (key: string, now: Kept | null) => void
    },
  ) {
    const refused = Promise.withResolvers<void>()
    const watched = startInformer<KubeObject, Kept>(dependencies.api, {
      ref,
      selection,
      ...kept,
      onError: (error) => {
        dependencies.onTrouble(error, { ...ref, ...selection })
        refused.resolve()
      },
      signal,
    })
    answers.push(Promise.race([watched.synced, refused.promise]))
    return watched
  }

  /** Into a store; `isMine` says whether what stands there came from this watch, for two may feed one store. */
  function into<Kept extends Versioned>(
    store: Store<Kept>,
    isMine: (there: Kept) => boolean = () => true,
  ) {
    return (key: string, now: Kept | null) => {
      const [namespace = '', name = ''] = key.split('/')
      const there = store.get(namespace, name)
      if (now !== null) {
        if (!store.put(namespace, name, now)) return
      } else if (there !== null && isMine(there)) store.drop(namespace, name)
      else return
      onNamespace(namespace)
    }
  }

  /** All namespaces at once, or one. */
  function followScope(scope: Scope): void {
    const within = scope === everywhere ? {} : { namespace: scope }
    const watchedAccounts = begin<AccountState>(
      { apiVersion: 'v1', resource: 'serviceaccounts', ...within },
      {},
      { transform: readAccount, onChange: into(accounts) },
    )
    for (const { name, namespaces } of settings.copies) {
      if (scope !== everywhere && !namespaces.matches(scope, {})) continue
      const where: ResourceRef = { apiVersion: 'v1', resource: 'secrets', ...within }
      const fieldSelector = `metadata.name=${name}`
      const copies = begin<ExistingSecret>(
        where,
        { fieldSelector, labelSelector: copySelector },
        { transform: readCopy, onChange: into(secrets, ({ kind }) => kind === 'copy') },
      )
      const others = foreignSelectors.map((labelSelector) =>
        begin<ExistingSecret>(
          where,
          { fieldSelector, labelSelector, metadataOnly: true },
          { transform: readForeign, onChange: into(secrets, ({ kind }) => kind === 'foreign') },
        ),
      )
      whenSynced([watchedAccounts, copies, ...others], () => {
        ready.add(`${scope}/${name}`)
        onSources()
      })
    }
    if (options.withPods !== true) return
    // A pod whose first container has not started yet is Pending (kubelet, getPhase).
    begin<StuckPod>(
      { apiVersion: 'v1', resource: 'pods', ...within },
      { fieldSelector: 'status.phase=Pending' },
      { transform: (pod) => readStuckPod(pod), onChange: into(pods) },
    )
  }

  const scopes = scopesOf(settings)
  const namespaces = followNamespaces({ api: dependencies.api, begin }, scopes, {
    onNamespace,
    signal,
  })
  answers.push(namespaces.answered)
  for (const scope of scopes ?? [everywhere]) followScope(scope)

  const sources = new Map<
    string,
    { readonly items: ReadonlyMap<string, SourceSecret>; known: boolean }
  >()
  for (const source of settings.copies.flatMap(({ from }) => from)) {
    const key = formatSource(source)
    if (sources.has(key)) continue
    const watched = begin<SourceSecret>(
      { apiVersion: 'v1', resource: 'secrets', namespace: source.namespace },
      {
        fieldSelector: `metadata.name=${source.name}`,
        labelSelector: `${consentLabel}=${consentValue}`,
      },
      { transform: readSourceSecret, onChange: () => onSources() },
    )
    const entry = { items: watched.items, known: false }
    sources.set(key, entry)
    whenSynced([watched], () => {
      entry.known = true
      onSources()
    })
  }

  return {
    namespaces: namespaces.items,
    accounts,
    secrets,
    pods,
    source: (name) => sources.get(formatSource(name))?.items.get(formatSource(name)) ?? null,
    knows: (name) => sources.get(formatSource(name))?.known === true,
    isReady: (namespace, copy) => ready.has(`${scopes === null ? everywhere : namespace}/${copy}`),
    answered: Promise.all(answers).then(() => undefined),
  }
}

/** A namespace, or all. */
type Scope = string
const everywhere: Scope = '*'

/** The namespaces that are looked at one by one; null: all at once. */
export function scopesOf({ copies, rbac }: Config['pullSecretCopies']): readonly string[] | null {
  if (rbac === 'cluster') return null
  return [...new Set(copies.flatMap(({ namespaces }) => namespaces.literal ?? []))]
}

/** Calls back once all of them are; never when the signal ends them before. */
function whenSynced(
  watched: readonly { readonly synced: Promise<void> }[],
  call: () => void,
): void {
  Promise.all(watched.map(({ synced }) => synced)).then(call, () => undefined)
}
