/** Which service account lacks a registry that its pods need, while a source knows it. */
import { createKeyMatcher } from '../credentials/docker-config-keys.ts'
import { type PullSecret, readKeyring, type PullSecretState } from '../credentials/keyring.ts'
import { credentialOrder } from '../credentials/credential-order.ts'
import { parseReference } from '../decision/reference/parse.ts'

export interface PodNeed {
  readonly namespace: string
  readonly name: string
  readonly account: string
  readonly images: readonly string[]
  readonly pullSecrets: readonly string[]
  /** Whether it waits for an image. */
  readonly isStuck: boolean
}

export interface KnownSource {
  readonly name: string
  readonly keys: readonly string[]
}

export interface MissingCredential {
  readonly namespace: string
  readonly serviceAccount: string
  readonly registry: string
  /** `namespace/name` of the first source that knows it. */
  readonly source: string
  readonly pods: readonly string[]
  readonly stuck: number
  /** True when the account has it by now, and only pods made before lack it. */
  readonly isLinked: boolean
}

export interface MissingCredentialsInput {
  readonly pods: readonly PodNeed[]
  /** The lists of service accounts by `namespace/name`. */
  readonly accounts: ReadonlyMap<string, readonly string[]>
  /** Pull secrets by `namespace/name`. */
  readonly secrets: ReadonlyMap<string, PullSecret>
  readonly sources: readonly KnownSource[]
}

/** In the order of namespaces, accounts and registries. A credential that the node has cannot be seen. */
export function findMissingCredentials({
  pods,
  accounts,
  secrets,
  sources,
}: MissingCredentialsInput): MissingCredential[] {
  const known = sources.map(({ name, keys }) => ({ name, knows: createKeyMatcher(keys) }))
  const lacks = new Map<string, MissingCredential>()
  const covers = (namespace: string, names: readonly string[], where: Where) => {
    const find = (name: string): PullSecretState => secrets.get(`${namespace}/${name}`) ?? 'missing'
    return credentialOrder(readKeyring(names, find), where).outcome !== 'no-credentials'
  }
  for (const pod of pods) {
    const { namespace, account } = pod
    for (const where of repositories(pod.images)) {
      const source = known.find(({ knows }) => knows(where.domain, where.path).length > 0)
      if (source === undefined || covers(namespace, pod.pullSecrets, where)) continue
      const isLinked = covers(namespace, accounts.get(`${namespace}/${account}`) ?? [], where)
      const registry = where.domain
      const id = [namespace, account, registry, isLinked].join(' ')
      const before = lacks.get(id)
      const all = [...new Set([...(before?.pods ?? []), pod.name])]
      const isNew = all.length > (before?.pods.length ?? 0)
      lacks.set(id, {
        namespace,
        serviceAccount: account,
        registry,
        source: source.name,
        pods: all,
        stuck: (before?.stuck ?? 0) + (isNew && pod.isStuck ? 1 : 0),
        isLinked,
      })
    }
  }
  return [...lacks].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, lack]) => lack)
}

interface Where {
  readonly domain: string
  readonly path: string
}

function repositories(images: readonly string[]): Where[] {
  return images.flatMap((image) => {
    const parsed = parseReference(image)
    return parsed.ok ? [parsed.reference] : []
  })
}
