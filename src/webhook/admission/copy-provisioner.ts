/**
 * Creates the copy of a pull secret before the webhook admits the pod that names it, in case the controller is not fast enough.
 * The copy is the one that the controller would create, by the same rules. Copies are only created, never read or changed.
 */
import { LRUCache } from 'lru-cache'
import { untilAborted } from '../../async/abort.ts'
import { type CopySettings, formatSource } from '../../config/copy-settings.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { KubeError } from '../../kube/error.ts'
import { type CopyContent, readContent } from '../../pull-secrets/content.ts'
import { type SecretObject, readNamespace, readSourceSecret } from '../../pull-secrets/objects.ts'
import { exclusionReason } from '../../pull-secrets/plan.ts'
import { copyManifest } from '../../pull-secrets/secret-manifests.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { ProvisionResult, SecretProvisioner } from './secret-provisioner.ts'

export interface CopyProvisionerDependencies {
  readonly api: KubeApi
  readonly log: Pick<Logger, 'info' | 'warn'>
  readonly now: () => Date
}

/** Twice the budget of a review: a copy that is late for one pod is in time for the next. */
const attemptMs = 5_000

/** The same as for other facts about a namespace (kube-namespace-lookup.ts). */
const resultMs = 3_000

/** Pods that a controller creates one after the other do not each wait for the same failure. */
const failureMs = 1_000

/** If someone deletes a copy meanwhile, the controller creates it. */
const createdMs = 60_000

/** Namespaces × secrets of a big cluster; an entry takes about 200 bytes. */
const maxEntries = 5_000

/** Creates the provisioner for the copies of one config that have `ensure: true`. */
export function createCopyProvisioner(
  dependencies: CopyProvisionerDependencies,
  copies: readonly CopySettings[],
): SecretProvisioner {
  const { api, log, now } = dependencies
  const covered = new Map(copies.flatMap((copy) => (copy.ensure ? [[copy.name, copy]] : [])))
  const results = new LRUCache<string, ProvisionResult>({ max: maxEntries, ttl: resultMs })
  /** By the UID of the namespace: a namespace that is deleted and recreated is another one. */
  const created = new LRUCache<string, true>({ max: maxEntries, ttl: createdMs })
  const inFlight = new Map<string, Promise<ProvisionResult>>()

  async function attempt(copy: CopySettings, name: string): Promise<ProvisionResult> {
    const signal = AbortSignal.timeout(attemptMs)
    const namespace = await api.get(
      { apiVersion: 'v1', resource: 'namespaces', name },
      { metadataOnly: true, signal },
    )
    if (namespace === null) throw new Error('namespace not found')
    const { labels, isTerminating } = readNamespace(namespace)
    if (isTerminating || exclusionReason(copy, name, labels) !== null) return 'not-covered'
    const id = `${namespace.metadata.uid}/${copy.name}`
    if (created.has(id)) return 'present'
    const content = await readSources(dependencies, copy, signal)
    if (content.kind !== 'valid') throw new Error(content.reason)
    const write = { kind: 'create', copy: copy.name, content, reason: '' } as const
    const isNew = await createSecret(api, name, copyManifest(write, name, now()), signal)
    created.set(id, true)
    if (isNew) log.info({ namespace: name, secret: copy.name }, 'pull secret created')
    return 'present'
  }

  function attemptOnce(
    key: string,
    copy: CopySettings,
    namespace: string,
  ): Promise<ProvisionResult> {
    const running = inFlight.get(key)
    if (running !== undefined) return running
    const started = attempt(copy, namespace)
      .catch((error: unknown): ProvisionResult => {
        const problem = error instanceof Error ? error.message : String(error)
        log.warn({ namespace, secret: copy.name, problem }, 'pull secret not created')
        return 'failed'
      })
      .then((result) => {
        results.set(key, result, { ttl: result === 'failed' ? failureMs : resultMs })
        inFlight.delete(key)
        return result
      })
    inFlight.set(key, started)
    return started
  }

  return {
    covers: (secret) => covered.has(secret),
    ensure: async (namespace, secret, signal) => {
      const copy = covered.get(secret)
      if (copy === undefined) return 'not-covered'
      const key = `${namespace}/${secret}`
      return results.get(key) ?? untilAborted(attemptOnce(key, copy, namespace), signal, 'failed')
    },
  }
}

async function readSources(
  { api, now }: CopyProvisionerDependencies,
  copy: CopySettings,
  signal: AbortSignal,
): Promise<CopyContent> {
  const sources = new Map(
    await Promise.all(
      copy.from.map(async (source) => {
        const ref = { apiVersion: 'v1', resource: 'secrets', ...source }
        const secret = await api.get<SecretObject>(ref, { signal })
        return [formatSource(source), secret === null ? null : readSourceSecret(secret)] as const
      }),
    ),
  )
  const content = readContent(copy, (source) => sources.get(formatSource(source)) ?? null)
  // A kubelet that has a credential does not try without one: an expired one fails public images too.
  if (content.kind === 'valid' && Date.parse(content.expiresAt ?? '') <= now().getTime())
    return { kind: 'invalid', reason: `its credentials expired at ${content.expiresAt}` }
  return content
}

/** Returns false when a secret of this name exists, Berth's or not: existing secrets are never changed here. */
async function createSecret(
  api: KubeApi,
  namespace: string,
  body: object,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await api.create({ apiVersion: 'v1', resource: 'secrets', namespace }, body, { signal })
    return true
  } catch (error) {
    // A quota that is being recalculated is a 409 too, with another reason (apiserver, resourcequota).
    if (error instanceof KubeError && error.reason === 'AlreadyExists') return false
    throw error
  }
}
