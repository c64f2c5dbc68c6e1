/**
 * Asks the API server about the namespace of a pod, and caches the answers. What the service account has no permission to
 * read is null, "not known": Berth works without any permission, and only warns less.
 */
import { LRUCache } from 'lru-cache'
import { untilAborted } from '../../async/abort.ts'
import { type Backoff, backoffMs } from '../../async/backoff.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { KubeError } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { NamespaceLookup } from './namespace-lookup.ts'

/** Short, so that the next pod sees a secret that has just been created. */
const ttlMs = 3_000

/**
 * The right was not granted. An upgrade that replaces a role takes the right away for a moment, and meanwhile a pod gets secrets
 * that its service account may not use: the API server rejects it. So the first refusals do not count for long.
 */
const refusedFor: Backoff = { firstMs: 10_000, maxMs: 600_000 }

/** Namespaces × secrets of one busy cluster; one entry takes about 200 bytes. */
const maxEntries = 5_000
const maxBytes = 1_000_000

/** The longest name of a Secret or a service account (apimachinery, DNS1123SubdomainMaxLength). */
const maxNameLength = 253

/** What Go's strconv.ParseBool takes for true: the admission plugin reads the annotation with it. */
const goTrue: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])

const enforceAnnotation = 'kubernetes.io/enforce-mountable-secrets'

type Fact = ReadonlySet<string> | 'all' | 'yes' | 'no' | 'forbidden' | 'unknown'

interface FactKey {
  readonly kind: 'secret' | 'account'
  readonly namespace: string
  readonly name: string
}

interface ServiceAccount extends KubeObject {
  readonly imagePullSecrets?: readonly { readonly name?: string }[]
}

/** How an administrator grants the right to ask. */
const fixes: Readonly<Record<FactKey['kind'], string>> = {
  secret:
    'list the Secrets in the component pull-secret-warnings (Helm: pullSecretWarnings.secrets)',
  account: 'add the component pull-secret-warnings (Helm: pullSecretWarnings.enabled=true)',
}

/** `now` is in milliseconds. Logs each missing right once. */
export function createNamespaceLookup(
  api: KubeApi,
  log: Pick<Logger, 'debug' | 'info'>,
  now = () => performance.now(),
): NamespaceLookup {
  const memory = createMemory(now)
  const factOfError = createErrorReader(log)

  async function lookUp(
    { kind, namespace, name }: FactKey,
    signal: AbortSignal,
    read: (namespace: string, name: string) => Promise<Fact>,
  ): Promise<Fact> {
    // A pod names its service account, and the API server has not validated the name yet.
    if (name.length > maxNameLength) return 'unknown'
    const key = `${kind}/${namespace}/${name}`
    const cached = memory.get(key)
    if (cached !== undefined) return cached
    const fact = await untilAborted<Fact>(
      read(namespace, name).catch((error: unknown) => factOfError(kind, error)),
      signal,
      'unknown',
    )
    if (fact !== 'unknown') memory.set(key, fact)
    return fact
  }

  async function readSecret(namespace: string, name: string): Promise<Fact> {
    const secret = await api.get(
      { apiVersion: 'v1', resource: 'secrets', namespace, name },
      // The data of the Secret never enters this process.
      { metadataOnly: true },
    )
    return secret === null ? 'no' : 'yes'
  }

  async function readMountableSecrets(namespace: string, name: string): Promise<Fact> {
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
  }

  return {
    hasSecret: async (namespace, name, signal) => {
      const fact = await lookUp({ kind: 'secret', namespace, name }, signal, readSecret)
      return fact === 'yes' || fact === 'no' ? fact === 'yes' : null
    },
    mountableSecrets: async (namespace, name, signal) => {
      const fact = await lookUp({ kind: 'account', namespace, name }, signal, readMountableSecrets)
      return fact === 'all' || fact instanceof Set ? fact : null
    },
  }
}

/** Remembers facts for some seconds, and refusals longer and longer. */
function createMemory(now: () => number) {
  const facts = new LRUCache<string, Fact>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: (fact, key) =>
      typeof fact === 'string'
        ? key.length + fact.length
        : [...fact].reduce((bytes, name) => bytes + name.length, key.length),
    ttl: ttlMs,
    ttlResolution: 0,
    perf: { now },
  })
  /** The refusals in a row. */
  const refusals = new LRUCache<string, number>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: (_, key) => key.length,
  })
  return {
    get: (key: string) => facts.get(key),
    set: (key: string, fact: Fact): void => {
      if (fact !== 'forbidden') {
        refusals.delete(key)
        facts.set(key, fact)
      } else if (!facts.has(key)) {
        // Of several pods that asked at the same time, only the first counts.
        const count = (refusals.get(key) ?? 0) + 1
        refusals.set(key, count)
        facts.set(key, fact, { ttl: backoffMs(refusedFor, count) })
      }
    },
  }
}

/** Returns a function that returns the fact that an error is. It logs each missing right once. */
function createErrorReader(log: Pick<Logger, 'debug' | 'info'>) {
  const logged = new Set<FactKey['kind']>()
  return (kind: FactKey['kind'], error: unknown): Fact => {
    // Not the message: it may name what the tenant is not allowed to know.
    const status = error instanceof KubeError ? error.status : null
    log.debug({ status }, 'namespace lookup failed')
    if (status !== 403) return 'unknown'
    const effect = 'pull secrets are added without a check'
    if (!logged.has(kind)) log.info({ effect, fix: fixes[kind] }, 'right missing')
    logged.add(kind)
    // Cached, so that the next pod does not wait for the same refusal.
    return 'forbidden'
  }
}
