/**
 * The controller loop that keeps copies of pull secrets in namespaces and links them to service accounts. It writes nothing
 * when everything is up to date.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createRateLimiter, type RateLimiter } from '../async/rate-limiter.ts'
import { sleep } from '../async/sleep.ts'
import type { Config } from '../config/config.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { applyWrite } from '../pull-secrets/cluster/apply-writes.ts'
import { createConflictEvents } from '../pull-secrets/cluster/conflict-events.ts'
import { createFindingMetrics } from '../pull-secrets/cluster/finding-metrics.ts'
import { type ClusterCache, startInformers } from '../pull-secrets/cluster/informers.ts'
import { createStuckPodHandler } from '../pull-secrets/cluster/recreate-stuck-pods.ts'
import { createSourceReader } from '../pull-secrets/cluster/source-reader.ts'
import type { CopyContent } from '../pull-secrets/content.ts'
import { planNamespace, type SecretWrite, type WantedCopy } from '../pull-secrets/plan.ts'
import { presentCopies } from '../pull-secrets/stuck-pods.ts'
import type { Logger } from '../telemetry/log.ts'
import type { PullSecretMetrics } from '../telemetry/pull-secret-metrics.ts'
import type { Loop } from './runtime/loops.ts'
import { createWorkQueue, type WorkQueue } from './runtime/work-queue.ts'
import { createWriteBackoff } from './runtime/write-backoff.ts'

export interface PullSecretsDependencies {
  readonly api: KubeApi
  readonly settings: Config['pullSecretCopies']
  readonly log: Logger
  readonly metrics: PullSecretMetrics
  /** Limits writes; at most ten a second when left out. */
  readonly limiter?: RateLimiter
  readonly times?: PullSecretsTimes | undefined
}

/** Times that tests shorten. */
export interface PullSecretsTimes {
  /** Milliseconds for which a source may be missing before its copies are deleted. */
  readonly sourceGraceMs?: number
  /** Milliseconds between two reads of the namespaces with `rbac: namespaced`. */
  readonly namespacePollMs?: number
}

/** At most ten writes in any second, with a margin for uneven network delays: 500 namespaces follow a rotation in a minute. */
const writeGapMs = 105

/** Enough for ten writes a second with an API server that takes 400 ms for each. */
const maxConcurrentWrites = 4

export function createPullSecretsLoop(dependencies: PullSecretsDependencies): Loop {
  return { name: 'pull-secrets', run: (signal) => run(dependencies, signal) }
}

async function run(dependencies: PullSecretsDependencies, signal: AbortSignal): Promise<void> {
  const { api, settings, log, times = {} } = dependencies
  const queue = createWorkQueue()
  let wanted: readonly WantedCopy[] = []
  let isComplete = false
  const readSources = createSourceReader({
    settings,
    cache: () => cache,
    graceMs: times.sourceGraceMs,
    signal,
    onContent: (copy, content) => logContent(log, copy, content),
    onExpired: () => refresh(),
  })
  const cache: ClusterCache = startInformers({
    api,
    settings,
    withPods: true,
    namespacePollMs: times.namespacePollMs,
    signal,
    // The first lists name every namespace.
    onNamespace: (namespace) => queue.add(namespace, isComplete ? 'urgent' : 'ordinary'),
    onSources: () => refresh(),
    onError: (error, collection) =>
      log.warn({ ...collection, problem: String(error) }, 'pull secrets watch failed'),
  })
  function refresh(): void {
    wanted = readSources()
    for (const namespace of cache.namespaces.keys()) queue.add(namespace, 'ordinary')
  }
  const complete = () => {
    isComplete = true
    refresh()
  }
  cache.settled.then(complete, () => undefined)
  const work = createWorker(dependencies, { queue, cache, wanted: () => wanted, signal })
  let isReported = false
  while (!signal.aborted) {
    await queue.ready(signal)
    if (await work()) isReported = false
    if (isReported || !isComplete || !queue.isIdle()) continue
    isReported = true
    log.info({ namespaces: cache.namespaces.size }, 'pull secrets up to date')
  }
}

function logContent(log: Logger, copy: string, content: CopyContent): void {
  if (content.kind === 'valid') log.info({ copy, from: content.from }, 'pull secret source read')
  else log.warn({ copy, reason: content.reason }, `pull secret source ${content.kind}`)
}

interface WorkerContext {
  readonly queue: WorkQueue
  readonly cache: ClusterCache
  readonly wanted: () => readonly WantedCopy[]
  readonly signal: AbortSignal
}

/** One write, eviction or Event in a namespace. */
interface NamespaceTask {
  readonly kind: string
  /** Fields for the log. */
  readonly fields: Readonly<Record<string, string>>
  /** Whether `run` acquires the rate limiter itself, for several requests. */
  readonly isLimited?: boolean
  /** Returns what was done, for the metric. */
  run(): Promise<string>
}

/** Returns a function that takes one namespace off the queue and starts its first task; it returns false without a task. */
function createWorker(
  dependencies: PullSecretsDependencies,
  context: WorkerContext,
): () => Promise<boolean> {
  const { log, metrics, limiter = createRateLimiter(writeGapMs) } = dependencies
  const { queue, signal } = context
  const firstTask = createTaskFinder({ ...dependencies, limiter }, context)
  const running = new Set<Promise<void>>()

  async function perform(namespace: string, task: NamespaceTask): Promise<void> {
    const { fields } = task
    try {
      if (task.isLimited !== true) await limiter.acquire(signal)
      const kind = await task.run()
      metrics.wrote(kind, 'done')
      log.info({ namespace, kind, ...fields }, 'pull secret written')
      queue.release(namespace, 'done')
      queue.add(namespace, 'urgent')
    } catch (error) {
      if (signal.aborted) return
      const { kind } = task
      metrics.wrote(kind, 'failed')
      log.warn({ namespace, kind, ...fields, problem: String(error) }, 'pull secret not written')
      queue.release(namespace, 'retry')
    }
  }

  return async () => {
    // Takes nothing off the queue before the next write is allowed, so that urgent namespaces can still come first.
    await sleep(limiter.delayMs(), signal)
    while (running.size >= maxConcurrentWrites) await Promise.race(running)
    const namespace = queue.next()
    if (namespace === null || signal.aborted) return false
    const task = firstTask(namespace)
    if (task === null) {
      queue.release(namespace, 'done')
      await nextTurn()
      return false
    }
    const work: Promise<void> = perform(namespace, task).finally(() => running.delete(work))
    running.add(work)
    return true
  }
}

/** Returns a function that plans a namespace and returns the first task in it; null if there is none. */
function createTaskFinder(
  { api, settings, metrics, limiter }: PullSecretsDependencies & { readonly limiter: RateLimiter },
  { queue, cache, wanted, signal }: WorkerContext,
): (name: string) => NamespaceTask | null {
  const backoff = createWriteBackoff(() => performance.now())
  const findingMetrics = createFindingMetrics(settings, metrics)
  const stuckPods = createStuckPodHandler(api, settings.stuckPods, () => Date.now())
  const conflictEvents = createConflictEvents(api)

  function writeTask(namespace: string, id: string, write: SecretWrite): NamespaceTask {
    return {
      kind: write.kind,
      fields: logFields(write),
      isLimited: true,
      run: async () => {
        const { kind, name, now } = await applyWrite({ api, limiter, signal }, namespace, write)
        if (now === null) cache[kind === 'secret' ? 'secrets' : 'accounts'].delete(namespace, name)
        else if (kind === 'secret') cache.secrets.put(namespace, name, now)
        else cache.accounts.put(namespace, name, now)
        backoff.recordWrite(id)
        return write.kind
      },
    }
  }

  return (name) => {
    const namespace = cache.namespaces.get(name)
    if (namespace === undefined) return null
    const ready = wanted().filter(({ settings: copy }) => cache.isReady(name, copy.name))
    const accounts = cache.accounts.of(name)
    const secrets = cache.secrets.of(name)
    const { writes, findings } = planNamespace(ready, { name, namespace, accounts, secrets })
    findingMetrics.set(name, findings)
    for (const write of writes) {
      const id = `${name}/${writeId(write)}`
      const delayMs = backoff.delayMs(id)
      if (delayMs === 0) return writeTask(name, id, write)
      queue.addLater(name, delayMs)
    }
    const conflict = conflictEvents.next(findings, secrets)
    if (conflict !== null)
      return {
        kind: 'event',
        fields: { secret: conflict.secret, reason: conflict.reason },
        run: () => conflictEvents.record(name, conflict).then(() => 'event'),
      }
    const pods = cache.pods.of(name).values()
    const cause = stuckPods.next(pods, presentCopies(ready, secrets), accounts)
    if (cause === null) return null
    return {
      kind: cause.kind,
      fields: { pod: cause.pod.name, reason: cause.message },
      run: () => stuckPods.handle(name, cause),
    }
  }
}

/** Two writes with the same id do the same: repeated ones mean that someone reverts them. */
function writeId(write: SecretWrite): string {
  if (write.kind === 'link')
    return `link/${write.account}/${write.add.join(',')}/${write.remove.join(',')}`
  return `${write.kind === 'remove' ? '' : write.content.hash}/${write.kind}/${write.copy}`
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
