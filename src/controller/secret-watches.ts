/** What the cluster holds that matters to pull secrets, kept in step by watches. */
import type { Config } from '../config/config.ts'
import type { KubeApi, Selection } from '../kube/api.ts'
import type { KubeObject, Where } from '../kube/object.ts'
import { watch } from '../kube/watch.ts'
import {
  type AccountState,
  type NamespaceState,
  type Occupant,
  readAccount,
  readCopy,
  readForeign,
  readNamespace,
  readSourceSecret,
  type SourceSecret,
} from '../propagation/objects.ts'
import {
  consentLabel,
  consentValue,
  copyLabel,
  managedBy,
  managedByLabel,
  showSource,
  type SourceName,
} from '../propagation/settings.ts'
import type { Logger } from '../telemetry/log.ts'
import { createStore, type Store, type Versioned } from './store.ts'

export interface Followed {
  readonly namespaces: ReadonlyMap<string, NamespaceState>
  readonly accounts: Store<AccountState>
  readonly secrets: Store<Occupant>
  /** Null for a source that is not there or does not consent. */
  source(name: SourceName): SourceSecret | null
  /** Whether the source has been looked for. */
  knows(name: SourceName): boolean
  /** Whether all secrets of this name are known. */
  isReady(copy: string): boolean
  /** Settles when namespaces and accounts are known. Rejects only when the signal aborts before. */
  readonly synced: Promise<void>
}

export interface FollowOptions {
  readonly settings: Config['pullSecretCopies']
  readonly signal: AbortSignal
  /** Something in this namespace has changed. */
  readonly onNamespace: (namespace: string) => void
  /** A source has changed, or a copy has become ready: every namespace may be concerned. */
  readonly onSources: () => void
}

interface Dependencies {
  readonly api: KubeApi
  readonly log: Logger
}

const copySelector = `${managedByLabel}=${managedBy},${copyLabel}`
/** Everything else of that name. The API's selectors have no «or», so these are two. */
const foreignSelectors = [`!${copyLabel}`, `${copyLabel},${managedByLabel}!=${managedBy}`]

export function followCluster(dependencies: Dependencies, options: FollowOptions): Followed {
  const { settings, onNamespace, onSources, signal } = options
  const accounts = createStore<AccountState>()
  const secrets = createStore<Occupant>()
  const ready = new Set<string>()
  const namespaces = new Map<string, NamespaceState>()

  function begin<Kept>(
    where: Where,
    selection: Selection,
    kept: {
      readonly keep: (object: KubeObject) => Kept | null
      readonly onChange: (key: string, now: Kept | null, before: Kept | null) => void
    },
  ) {
    return watch<KubeObject, Kept>(dependencies.api, {
      where,
      selection,
      ...kept,
      onTrouble: (error) =>
        dependencies.log.warn(
          { resource: where.resource, ...selection, problem: String(error) },
          'pull secrets: a watch was broken off',
        ),
      signal,
    })
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

  const watchedNamespaces = begin<NamespaceState>(
    { apiVersion: 'v1', resource: 'namespaces' },
    { metadataOnly: true },
    {
      keep: readNamespace,
      onChange: (name, now) => {
        if (now === null) namespaces.delete(name)
        else namespaces.set(name, now)
        onNamespace(name)
      },
    },
  )
  const watchedAccounts = begin<AccountState>(
    { apiVersion: 'v1', resource: 'serviceaccounts' },
    {},
    { keep: readAccount, onChange: into(accounts) },
  )
  for (const { name } of settings.copies) {
    const where: Where = { apiVersion: 'v1', resource: 'secrets' }
    const fieldSelector = `metadata.name=${name}`
    const copies = begin<Occupant>(
      where,
      { fieldSelector, labelSelector: copySelector },
      { keep: readCopy, onChange: into(secrets, ({ kind }) => kind === 'copy') },
    )
    const others = foreignSelectors.map((labelSelector) =>
      begin<Occupant>(
        where,
        { fieldSelector, labelSelector, metadataOnly: true },
        { keep: readForeign, onChange: into(secrets, ({ kind }) => kind === 'foreign') },
      ),
    )
    whenSynced([copies, ...others], () => {
      ready.add(name)
      onSources()
    })
  }

  const sources = new Map<
    string,
    { readonly items: ReadonlyMap<string, SourceSecret>; known: boolean }
  >()
  for (const source of settings.copies.flatMap(({ from }) => from)) {
    const key = showSource(source)
    if (sources.has(key)) continue
    const watched = begin<SourceSecret>(
      { apiVersion: 'v1', resource: 'secrets', namespace: source.namespace },
      {
        fieldSelector: `metadata.name=${source.name}`,
        labelSelector: `${consentLabel}=${consentValue}`,
      },
      { keep: readSourceSecret, onChange: () => onSources() },
    )
    const entry = { items: watched.items, known: false }
    sources.set(key, entry)
    whenSynced([watched], () => {
      entry.known = true
      onSources()
    })
  }

  return {
    namespaces,
    accounts,
    secrets,
    source: (name) => sources.get(showSource(name))?.items.get(showSource(name)) ?? null,
    knows: (name) => sources.get(showSource(name))?.known === true,
    isReady: (copy) => ready.has(copy),
    synced: Promise.all([watchedNamespaces.synced, watchedAccounts.synced]).then(() => undefined),
  }
}

/** Calls back once all of them are; never when the signal ends them before. */
function whenSynced(
  watched: readonly { readonly synced: Promise<void> }[],
  call: () => void,
): void {
  Promise.all(watched.map(({ synced }) => synced)).then(call, () => undefined)
}
