/** Finds service accounts that lack credentials for a registry that their pods need and that a source has. */
import { createKeyMatcher } from '../credentials/docker-config-keys.ts'
import { type PullSecret, readKeyring, type PullSecretState } from '../credentials/keyring.ts'
import { credentialOrder } from '../credentials/credential-order.ts'
import { parseReference } from '../decision/reference/parse.ts'

/** What a pod needs and has. */
export interface PodNeed {
  readonly namespace: string
  readonly name: string
  readonly account: string
  readonly images: readonly string[]
  readonly pullSecrets: readonly string[]
  /** The images that it waits for. */
  readonly waitsFor: readonly string[]
}

export interface KnownSource {
  /** `namespace/name`. */
  readonly name: string
  /** Its registries, as keys of the docker config. */
  readonly keys: readonly string[]
}

export interface MissingCredential {
  readonly namespace: string
  readonly serviceAccount: string
  readonly registry: string
  /** `namespace/name` of the first source with credentials for the registry. */
  readonly source: string
  readonly pods: readonly string[]
  /** How many of the pods wait for an image of the registry. */
  readonly stuck: number
  /** True when the service account has the credentials now, and only older pods lack them. */
  readonly isLinked: boolean
}

export interface MissingCredentialsInput {
  readonly pods: readonly PodNeed[]
  /** The imagePullSecrets of service accounts, by `namespace/name`. */
  readonly accounts: ReadonlyMap<string, readonly string[]>
  /** Pull secrets, by `namespace/name`. */
  readonly secrets: ReadonlyMap<string, PullSecret>
  readonly sources: readonly KnownSource[]
}

/** Returns them sorted by namespace, service account and registry. Does not know the credentials that a node has. */
export function findMissingCredentials({
  pods,
  accounts,
  secrets,
  sources,
}: MissingCredentialsInput): MissingCredential[] {
  const matchers = sources.map(({ name, keys }) => ({ name, match: createKeyMatcher(keys) }))
  const found = new Map<string, MissingCredential>()
  const covers = (namespace: string, names: readonly string[], repository: Repository) => {
    const find = (name: string): PullSecretState => secrets.get(`${namespace}/${name}`) ?? 'missing'
    return credentialOrder(readKeyring(names, find), repository).outcome !== 'no-credentials'
  }
  for (const pod of pods) {
    const { namespace, account } = pod
    const waitsFor = new Set(repositoriesOf(pod.waitsFor).map(({ domain }) => domain))
    for (const repository of repositoriesOf(pod.images)) {
      const { domain: registry, path } = repository
      const source = matchers.find(({ match }) => match(registry, path).length > 0)
      if (source === undefined || covers(namespace, pod.pullSecrets, repository)) continue
      const isLinked = covers(namespace, accounts.get(`${namespace}/${account}`) ?? [], repository)
      const id = [namespace, account, registry, isLinked].join(' ')
      const before = found.get(id)
      const names = [...new Set([...(before?.pods ?? []), pod.name])]
      const isNew = names.length > (before?.pods.length ?? 0)
      found.set(id, {
        namespace,
        serviceAccount: account,
        registry,
        source: source.name,
        pods: names,
        stuck: (before?.stuck ?? 0) + (isNew && waitsFor.has(registry) ? 1 : 0),
        isLinked,
      })
    }
  }
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, missing]) => missing)
}

interface Repository {
  readonly domain: string
  readonly path: string
}

function repositoriesOf(images: readonly string[]): Repository[] {
  return images.flatMap((image) => {
    const parsed = parseReference(image)
    return parsed.ok ? [parsed.reference] : []
  })
}
