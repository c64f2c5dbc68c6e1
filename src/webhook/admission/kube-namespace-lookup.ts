/**
 * What admission may know of a namespace, asked of the API server. Every answer that the account's rights do not give is
 * null, "not known": Berth works with no right at all, and only says less.
 */
import { LRUCache } from 'lru-cache'
import type { NamespaceLookup } from './namespace-lookup.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { KubeError } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { untilAborted } from '../../async/abort.ts'

/** Short, so that a secret that has just been made is seen by the next pod. */
const ttlMs = 3_000

/** Namespaces × secrets of one busy cluster; one entry is about 200 bytes. */
const maxEntries = 5_000

/** What Go's strconv.ParseBool takes for true, which is how the plugin reads the annotation. */
const goTrue: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])

const enforceAnnotation = 'kubernetes.io/enforce-mountable-secrets'

type Fact = ReadonlySet<string> | 'all' | 'yes' | 'no' | 'forbidden' | 'unknown'

interface ServiceAccount extends KubeObject {
  readonly imagePullSecrets?: readonly { readonly name?: string }[]
}

/** Makes the facts. */
export function createNamespaceLookup(api: KubeApi, log: Logger): NamespaceLookup {
  const kept = new LRUCache<string, Fact>({ max: maxEntries, ttl: ttlMs })

  async function ask(
    key: string,
    signal: AbortSignal,
    question: () => Promise<Fact>,
  ): Promise<Fact> {
    const known = kept.get(key)
    if (known !== undefined) return known
    const fact = await untilAborted<Fact>(question(), signal, 'unknown')
    if (fact !== 'unknown') kept.set(key, fact)
    return fact
  }

  async function secretExists(name: string, namespace: string): Promise<Fact> {
    try {
      // The Secret's data never enters this process.
      const secret = await api.get(
        { apiVersion: 'v1', resource: 'secrets', namespace, name },
        { metadataOnly: true },
      )
      return secret === null ? 'no' : 'yes'
    } catch (error) {
      return unknown(error)
    }
  }

  async function mountable(name: string, namespace: string): Promise<Fact> {
    try {
      const account = await api.get<ServiceAccount>({
        apiVersion: 'v1',
        resource: 'serviceaccounts',
        namespace,
        name,
      })
      if (account === null) return 'unknown'
      if (!goTrue.has(account.metadata.annotations?.[enforceAnnotation] ?? '')) return 'all'
      // The plugin compares with the account's pull secrets (plugin/pkg/admission/serviceaccount/admission.go).
      return new Set((account.imagePullSecrets ?? []).flatMap((entry) => entry.name ?? []))
    } catch (error) {
      return unknown(error)
    }
  }

  function unknown(error: unknown): Fact {
    // The message may name what a tenant may not know, so only the status is told.
    const status = error instanceof KubeError ? error.status : null
    log.debug({ status }, 'the API server did not tell')
    // A right that is not there is an answer too: no pod waits for the next one to be refused.
    return status === 403 ? 'forbidden' : 'unknown'
  }

  return {
    hasSecret: async (namespace, name, signal) => {
      const fact = await ask(`secret/${namespace}/${name}`, signal, () =>
        secretExists(name, namespace),
      )
      return fact === 'yes' || fact === 'no' ? fact === 'yes' : null
    },
    mountableSecrets: async (namespace, name, signal) => {
      const fact = await ask(`account/${namespace}/${name}`, signal, () =>
        mountable(name, namespace),
      )
      return fact === 'all' || fact instanceof Set ? fact : null
    },
  }
}
