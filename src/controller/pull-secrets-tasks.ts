/**
 * Plans a namespace and lists its tasks: writes, Events and evictions. A task that fails is put aside with a backoff, and
 * does not delay the others.
 */
import type { RateLimiter } from '../async/rate-limiter.ts'
import type { Config } from '../config/config.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { applyWrite } from '../pull-secrets/cluster/apply-writes.ts'
import { createFindingEvents } from '../pull-secrets/cluster/finding-events.ts'
import { readForeignSecret } from '../pull-secrets/cluster/foreign-reader.ts'
import { createFindingMetrics } from '../pull-secrets/cluster/finding-metrics.ts'
import type { ClusterCache } from '../pull-secrets/cluster/informers.ts'
import { createStuckPodHandler } from '../pull-secrets/cluster/recreate-stuck-pods.ts'
import type { ForeignSecret } from '../pull-secrets/objects.ts'
import type { CopyFinding, SecretWrite, WantedCopy } from '../pull-secrets/plan.ts'
import { planNamespace } from '../pull-secrets/plan.ts'
import { splitLink, withoutLinks } from '../pull-secrets/plan-links.ts'
import { presentCopies } from '../pull-secrets/stuck-pods.ts'
import type { PullSecretMetrics } from '../telemetry/pull-secret-metrics.ts'
import type { TaskBackoff } from './runtime/task-backoff.ts'

/** One write, eviction or Event in a namespace. */
export interface NamespaceTask {
  /** Two tasks with the same id do the same. */
  readonly id: string
  readonly kind: string
  /** Fields for the log. */
  readonly fields: Readonly<Record<string, string>>
  /** Whether `run` acquires the rate limiter itself, for several requests. */
  readonly isLimited?: boolean
  /** Whether `run` writes nothing. */
  readonly isRead?: boolean
  /** Returns what was done, for the metric. */
  run(): Promise<string>
}

export interface TaskDependencies {
  readonly api: KubeApi
  readonly settings: Config['pullSecretCopies']
  readonly cache: ClusterCache
  readonly wanted: () => readonly WantedCopy[]
  readonly backoff: TaskBackoff
  readonly limiter: RateLimiter
  readonly metrics: Pick<PullSecretMetrics, 'findings'>
  readonly signal: AbortSignal
}

/** Returns a function that yields the tasks of a namespace in the order of their importance, those put aside included. */
export function createTaskPlanner(
  dependencies: TaskDependencies,
): (namespace: string) => Iterable<NamespaceTask> {
  const { api, settings, cache, wanted, backoff, metrics } = dependencies
  const findingMetrics = createFindingMetrics(settings, metrics)
  const findingEvents = createFindingEvents(api)
  const stuckPods = createStuckPodHandler(api, settings.stuckPods, () => Date.now())

  return function* tasksOf(name) {
    const namespace = cache.namespaces.get(name)
    if (namespace === undefined) {
      findingMetrics.set(name, [])
      return
    }
    const ready = wanted().filter(({ settings: copy }) => cache.isReady(name, copy.name))
    const accounts = cache.accounts.of(name)
    const secrets = cache.secrets.of(name)
    const plan = planNamespace(ready, { name, namespace, accounts, secrets })
    const isMissing = (copy: string) => secrets.get(copy)?.kind !== 'copy'
    const writes = plan.writes
      .flatMap((write) => withoutLinks(write, isMissing) ?? [])
      // Of several names, perhaps only one is refused.
      .flatMap((write) =>
        backoff.failure(idOf(name, write)) === null ? [write] : splitLink(write),
      )
    const refusals = writes.flatMap((write) =>
      refusalsOf(write, backoff.failure(idOf(name, write))?.reason ?? null),
    )
    const reads = plan.unread.flatMap((copy) => readTask(dependencies, name, copy) ?? [])
    const unread = reads.flatMap(({ task, copy, secret }) =>
      unreadFinding(copy, secret, backoff.failure(task.id)?.reason ?? null),
    )
    const findings = [...plan.findings, ...refusals, ...unread]
    findingMetrics.set(name, findings)
    const isRetry = (write: SecretWrite) => backoff.failure(idOf(name, write)) !== null
    for (const write of writes) if (!isRetry(write)) yield writeTask(dependencies, name, write)
    for (const { task } of reads) yield task
    for (const { id, finding, record } of findingEvents(name, findings)) {
      const fields = { [fieldOf(finding)]: finding.object?.name ?? '', reason: finding.reason }
      yield { id: `event/${id}`, kind: 'event', fields, run: () => record().then(() => 'event') }
    }
    // After the Events: retries that fail quickly must not delay them.
    for (const write of writes) if (isRetry(write)) yield writeTask(dependencies, name, write)
    const pods = cache.pods.of(name).values()
    for (const cause of stuckPods.causes(pods, presentCopies(ready, secrets), accounts))
      yield {
        id: `pod/${cause.pod.uid}/${cause.id}`,
        kind: cause.kind,
        fields: { pod: cause.pod.name, reason: cause.message },
        run: () => stuckPods.handle(name, cause),
      }
  }
}

function writeTask(
  { api, cache, limiter, signal }: TaskDependencies,
  namespace: string,
  write: SecretWrite,
): NamespaceTask {
  return {
    id: idOf(namespace, write),
    kind: write.kind,
    fields: logFields(write),
    isLimited: true,
    run: async () => {
      const { kind, name, now } = await applyWrite({ api, limiter, signal }, namespace, write)
      if (now === null) cache[kind === 'secret' ? 'secrets' : 'accounts'].delete(namespace, name)
      else if (kind === 'secret') cache.secrets.put(namespace, name, now)
      else cache.accounts.put(namespace, name, now)
      return write.kind
    },
  }
}

interface ReadTask {
  readonly copy: string
  readonly secret: ForeignSecret
  readonly task: NamespaceTask
}

/** Returns the task that reads the content of a foreign secret, so that the next plan can decide about it. */
function readTask(
  { api, cache, signal }: TaskDependencies,
  namespace: string,
  copy: string,
): ReadTask | null {
  const secret = cache.secrets.get(namespace, copy)
  if (secret?.kind !== 'foreign') return null
  const run = async () => {
    const now = await readForeignSecret(api, { namespace, name: copy }, signal)
    if (now !== null) cache.secrets.put(namespace, copy, now)
    return 'read'
  }
  const id = `${namespace}/read/${copy}/${secret.resourceVersion}`
  return { copy, secret, task: { id, kind: 'read', fields: { secret: copy }, isRead: true, run } }
}

function unreadFinding(
  copy: string,
  { uid }: ForeignSecret,
  failure: string | null,
): readonly CopyFinding[] {
  if (failure === null) return []
  const reason = `secret ${copy} exists, is not a copy by Berth, and cannot be read to compare it: ${failure}`
  return [{ kind: 'conflict', copy, reason, object: { kind: 'Secret', name: copy, uid } }]
}

/** Two writes with the same id do the same: repeated ones mean that someone reverts them. */
function idOf(namespace: string, write: SecretWrite): string {
  if (write.kind === 'link')
    return `${namespace}/link/${write.account}/${write.add.join(',')}/${write.remove.join(',')}`
  const content = write.kind === 'remove' ? '' : write.content.hash
  return `${namespace}/${write.kind}/${write.copy}/${content}`
}

/** Returns a finding for each copy that a refused write is about. */
function refusalsOf(write: SecretWrite, reason: string | null): readonly CopyFinding[] {
  if (reason === null) return []
  if (write.kind !== 'link') {
    const uid = 'was' in write ? write.was.uid : undefined
    const object = { kind: 'Secret', name: write.copy, uid } as const
    return [{ kind: 'refused', copy: write.copy, reason, object }]
  }
  const object = { kind: 'ServiceAccount', name: write.account, uid: write.was.uid } as const
  return [...write.remove, ...write.add].map((copy) => ({ kind: 'refused', copy, reason, object }))
}

function fieldOf({ object }: CopyFinding): string {
  return object?.kind === 'ServiceAccount' ? 'serviceAccount' : 'secret'
}

function logFields(write: SecretWrite): Readonly<Record<string, string>> {
  const { reason } = write
  if (write.kind !== 'link') return { secret: write.copy, reason }
  const { account, add, remove } = write
  return {
    reason,
    serviceAccount: account,
    ...(add.length === 0 ? {} : { add: add.join(',') }),
    ...(remove.length === 0 ? {} : { remove: remove.join(',') }),
  }
}
