/**
 * Makes a copy of a pull secret before the pod that names it is admitted: what the controller would make, by the same
 * rules and of the same bytes, in case that it comes later. It creates and does nothing else; copies are never read.
 */
import { LRUCache } from 'lru-cache'
import type { KubeApi } from '../../kube/api-client.ts'
import { KubeError } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { untilAborted } from '../../async/abort.ts'
import { copyBody } from '../../pull-secrets/secret-manifests.ts'
import { type Content, readContent } from '../../pull-secrets/content.ts'
import { type RawSecret, readNamespace, readSourceSecret } from '../../pull-secrets/objects.ts'
import { exclusionOf } from '../../pull-secrets/plan.ts'
import { type CopySettings, formatSource } from '../../config/copy-settings.ts'
import type { Logger } from '../../telemetry/log.ts'

export interface EnsureDependencies {
  readonly api: KubeApi
  readonly log: Pick<Logger, 'info' | 'warn'>
  readonly now: () => Date
}

/** The same as what admission calls for. */
export interface EnsureCopies {
  covers(secret: string): boolean
  ensure(
    namespace: string,
    secret: string,
    signal: AbortSignal,
  ): Promise<'there' | 'elsewhere' | 'failed'>
}

type Outcome = Awaited<ReturnType<EnsureCopies['ensure']>>

/** Twice what a review has at the most: what comes too late for one pod is there for the next. */
const workMs = 5_000

/** As long as other facts of a namespace are remembered (kube/facts.ts). */
const knownMs = 3_000

/** Pods of one controller, created one after the other, do not wait for the same failure each. */
const failedMs = 1_000

/** Of a namespace by its UID, so that one of the same name is another. Whoever removes a copy meets the controller first. */
const madeMs = 60_000

/** Namespaces × secrets of a big cluster; an entry is about 200 bytes. */
const maxEntries = 5_000

/** For the copies of one config. */
export function createEnsureCopies(
  { api, log, now }: EnsureDependencies,
  copies: readonly CopySettings[],
): EnsureCopies {
  const ensured = new Map(copies.flatMap((copy) => (copy.ensure ? [[copy.name, copy]] : [])))
  const outcomes = new LRUCache<string, Outcome>({ max: maxEntries, ttl: knownMs })
  const made = new LRUCache<string, true>({ max: maxEntries, ttl: madeMs })
  const underWay = new Map<string, Promise<Outcome>>()

  async function attempt(copy: CopySettings, name: string): Promise<Outcome> {
    const signal = AbortSignal.timeout(workMs)
    const namespace = await api.get(
      { apiVersion: 'v1', resource: 'namespaces', name },
      { metadataOnly: true, signal },
    )
    if (namespace === null) throw new Error('there is no such namespace')
    const { labels, terminating } = readNamespace(namespace)
    if (terminating || exclusionOf(copy, name, labels) !== null) return 'elsewhere'
    const id = `${namespace.metadata.uid}/${copy.name}`
    if (made.has(id)) return 'there'
    const content = await contentOf(copy, signal)
    if (content.kind !== 'good') throw new Error(content.reason)
    const write = { kind: 'create', copy: copy.name, content, reason: '' } as const
    const body = copyBody(write, name, now())
    const isNew = await create(name, body, signal)
    made.set(id, true)
    if (isNew) log.info({ namespace: name, secret: copy.name }, 'pull secret made for a pod')
    return 'there'
  }

  async function contentOf(copy: CopySettings, signal: AbortSignal): Promise<Content> {
    const sources = new Map(
      await Promise.all(
        copy.from.map(async (source) => {
          const where = { apiVersion: 'v1', resource: 'secrets', ...source }
          const secret = await api.get<RawSecret & KubeObject>(where, { signal })
          return [formatSource(source), secret === null ? null : readSourceSecret(secret)] as const
        }),
      ),
    )
    const content = readContent(copy, (source) => sources.get(formatSource(source)) ?? null)
    // A kubelet that has a credential does not try without: one that has ended closes public images too.
    if (content.kind === 'good' && Date.parse(content.expiresAt ?? '') <= now().getTime())
      return { kind: 'invalid', reason: `its credentials ended at ${content.expiresAt}` }
    return content
  }

  /** False when one is there already, ours or not: nobody's is changed here. */
  async function create(namespace: string, body: object, signal: AbortSignal): Promise<boolean> {
    try {
      await api.create({ apiVersion: 'v1', resource: 'secrets', namespace }, body, { signal })
      return true
    } catch (error) {
      // A quota that is being counted is a 409 as well (apiserver, resourcequota), with another reason.
      if (error instanceof KubeError && error.reason === 'AlreadyExists') return false
      throw error
    }
  }

  function work(key: string, copy: CopySettings, namespace: string): Promise<Outcome> {
    const running = underWay.get(key)
    if (running !== undefined) return running
    const started = attempt(copy, namespace)
      .catch((error: unknown): Outcome => {
        const problem = error instanceof Error ? error.message : String(error)
        log.warn({ namespace, secret: copy.name, problem }, 'pull secret not made for a pod')
        return 'failed'
      })
      .then((outcome) => {
        outcomes.set(key, outcome, { ttl: outcome === 'failed' ? failedMs : knownMs })
        underWay.delete(key)
        return outcome
      })
    underWay.set(key, started)
    return started
  }

  return {
    covers: (secret) => ensured.has(secret),
    ensure: async (namespace, secret, signal) => {
      const copy = ensured.get(secret)
      if (copy === undefined) return 'elsewhere'
      const key = `${namespace}/${secret}`
      return outcomes.get(key) ?? untilAborted(work(key, copy, namespace), signal, 'failed')
    },
  }
}
