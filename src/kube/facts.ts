/**
 * What admission may know of a namespace, asked of the API server. Every answer that the account's rights do not give is
 * null, "not known": Berth works with no right at all, and only says less.
 */
import { LRUCache } from 'lru-cache'
import type { NamespaceFacts } from '../admission/facts.ts'
import { BerthError } from '../errors.ts'
import type { Logger } from '../telemetry/log.ts'

export interface FactsOptions {
  /** A kubeconfig file; null for the pod's own service account. */
  readonly kubeconfig: string | null
  readonly log: Logger
}

/** Metadata alone: the Secret's data never enters this process (API conventions, "Receiving resources as PartialObjectMetadata"). */
const metadataOnly = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'

/** Short, so that a secret that has just been made is seen by the next pod. */
const ttlMs = 3_000

/** Namespaces × secrets of one busy cluster; one entry is about 200 bytes. */
const maxEntries = 5_000

/** What Go's strconv.ParseBool takes for true, which is how the plugin reads the annotation. */
const goTrue: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])

const enforceAnnotation = 'kubernetes.io/enforce-mountable-secrets'

type Fact = ReadonlySet<string> | 'all' | 'yes' | 'no' | 'unknown'

/** Makes the facts. client-node is loaded here and nowhere earlier: it is half of the process's start-up time. */
export async function createFacts({ kubeconfig, log }: FactsOptions): Promise<NamespaceFacts> {
  const { CoreV1Api, KubeConfig, setHeaderOptions } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  try {
    if (kubeconfig === null) config.loadFromCluster()
    else config.loadFromFile(kubeconfig)
  } catch (cause) {
    const file = kubeconfig ?? "the pod's service account"
    throw new BerthError(
      'kubeconfig-invalid',
      `${file} cannot be read as a kubeconfig; --kubeconfig takes one`,
      { cause },
    )
  }
  const api = config.makeApiClient(CoreV1Api)
  const kept = new LRUCache<string, Fact>({ max: maxEntries, ttl: ttlMs })

  async function ask(
    key: string,
    signal: AbortSignal,
    question: () => Promise<Fact>,
  ): Promise<Fact> {
    const known = kept.get(key)
    if (known !== undefined) return known
    const fact = await untilAborted(question(), signal)
    if (fact !== 'unknown') kept.set(key, fact)
    return fact
  }

  async function secretExists(name: string, namespace: string): Promise<Fact> {
    try {
      await api.readNamespacedSecret({ name, namespace }, setHeaderOptions('Accept', metadataOnly))
      return 'yes'
    } catch (error) {
      return statusOf(error) === 404 ? 'no' : unknown(error)
    }
  }

  async function mountable(name: string, namespace: string): Promise<Fact> {
    try {
      const account = await api.readNamespacedServiceAccount({ name, namespace })
      if (!goTrue.has(account.metadata?.annotations?.[enforceAnnotation] ?? '')) return 'all'
      // The plugin compares with the account's pull secrets (plugin/pkg/admission/serviceaccount/admission.go).
      return new Set((account.imagePullSecrets ?? []).flatMap((entry) => entry.name ?? []))
    } catch (error) {
      return unknown(error)
    }
  }

  function unknown(error: unknown): Fact {
    // The message of the library's error holds the whole body of the answer, so only the status is told.
    log.debug({ status: statusOf(error) }, 'the API server did not tell')
    return 'unknown'
  }

  return {
    hasSecret: async (namespace, name, signal) => {
      const fact = await ask(`secret/${namespace}/${name}`, signal, () =>
        secretExists(name, namespace),
      )
      return fact === 'unknown' ? null : fact === 'yes'
    },
    mountableSecrets: async (namespace, name, signal) => {
      const fact = await ask(`account/${namespace}/${name}`, signal, () =>
        mountable(name, namespace),
      )
      return fact === 'all' || fact instanceof Set ? fact : null
    },
  }
}

function statusOf(error: unknown): number | null {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
  return typeof code === 'number' ? code : null
}

function untilAborted(question: Promise<Fact>, signal: AbortSignal): Promise<Fact> {
  if (signal.aborted) return Promise.resolve('unknown')
  return new Promise((resolve) => {
    const giveUp = () => resolve('unknown')
    signal.addEventListener('abort', giveUp, { once: true })
    void question.then(resolve).finally(() => signal.removeEventListener('abort', giveUp))
  })
}
