/**
 * The controller loop that keeps copies of pull secrets in namespaces and links them to service accounts. It writes nothing
 * when everything is up to date.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Backoff } from '../async/backoff.ts'
import type { RateLimiter } from '../async/rate-limiter.ts'
import { sleep } from '../async/sleep.ts'
import type { Config } from '../config/config.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { isMissingRight, KubeError } from '../kube/error.ts'
import type { Refusals } from '../kube/refusals.ts'
import { type ClusterCache, startInformers } from '../pull-secrets/cluster/informers.ts'
import { refusalReason } from '../pull-secrets/cluster/refusal-reason.ts'
import { createSourceReader } from '../pull-secrets/cluster/source-reader.ts'
import { concurrentWrites, createWriteLimiter } from '../pull-secrets/cluster/write-rate.ts'
import type { CopyContent } from '../pull-secrets/content.ts'
import type { WantedCopy } from '../pull-secrets/plan.ts'
import type { Logger } from '../telemetry/log.ts'
import type { PullSecretMetrics } from '../telemetry/pull-secret-metrics.ts'
import { createTaskPlanner, type NamespaceTask } from './pull-secrets-tasks.ts'
import type { Loop } from './runtime/loops.ts'
import { createTaskBackoff, type TaskBackoff } from './runtime/task-backoff.ts'
import { createWatchErrorLog } from './runtime/watch-error-log.ts'
import { createWorkQueue, type WorkQueue } from './runtime/work-queue.ts'

export interface PullSecretsDependencies {
  readonly api: KubeApi
  readonly refusals?: Refusals | undefined
  readonly settings: Config['pullSecretCopies']
  readonly log: Logger
  readonly metrics: PullSecretMetrics
  /** Limits writes; as the settings say when left out. */
  readonly limiter?: RateLimiter
  readonly times?: PullSecretsTimes | undefined
}

/** Times that tests shorten. */
export interface PullSecretsTimes {
  /** Milliseconds for which a source may be missing before its copies are deleted. */
  readonly sourceGraceMs?: number
  /** Milliseconds between two reads of the namespaces with `rbac: namespaced`. */
  readonly namespacePollMs?: number
  /** The delays before a failed write is retried. */
  readonly retry?: Backoff
}

const missingRightFix = 'apply what `berth secrets rbac` prints for this config'

export function createPullSecretsLoop(dependencies: PullSecretsDependencies): Loop {
  return { name: 'pull-secrets', run: (signal) => run(dependencies, signal) }
}

async function run(dependencies: PullSecretsDependencies, signal: AbortSignal): Promise<void> {
  const { api, settings, refusals, log, times = {} } = dependencies
  const queue = createWorkQueue()
  let wanted: readonly WantedCopy[] = []
  let isComplete = false
  let namespaceCount = 0
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
    refusals,
    withPods: true,
    namespacePollMs: times.namespacePollMs,
    signal,
    onNamespace: (namespace) => {
      // The first lists name every namespace.
      queue.add(namespace, isComplete ? 'urgent' : 'ordinary')
      if (isComplete && cache.namespaces.size !== namespaceCount) checkSizes()
    },
    onSources: () => refresh(),
    onError: createWatchErrorLog(log, missingRightFix),
  })
  /** The number of namespaces decides whether a large source is accepted. */
  function checkSizes(): void {
    const before = wanted.map(({ content }) => content?.kind).join()
    namespaceCount = cache.namespaces.size
    wanted = readSources()
    if (wanted.map(({ content }) => content?.kind).join() !== before) refresh()
  }
  function refresh(): void {
    wanted = readSources()
    for (const namespace of cache.namespaces.keys()) queue.add(namespace, 'ordinary')
  }
  const complete = () => {
    isComplete = true
    refresh()
  }
  cache.settled.then(complete, () => undefined)
  const backoff = createTaskBackoff(() => performance.now(), times.retry)
  const context = { queue, cache, wanted: () => wanted, backoff, signal }
  const worker = createWorker(dependencies, context)
  let reported = ''
  while (!signal.aborted) {
    await queue.ready(signal)
    await worker.work()
    if (!isComplete || !queue.isIdle()) continue
    const { done, waiting } = worker.progress()
    if (reported === `${done} ${waiting}`) continue
    reported = `${done} ${waiting}`
    const fields = { namespaces: cache.namespaces.size, waiting }
    log.info(fields, waiting === 0 ? 'pull secrets up to date' : 'pull secret writes put aside')
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
  readonly backoff: TaskBackoff
  readonly signal: AbortSignal
}

interface Worker {
  /** Takes one namespace off the queue and starts its first task. */
  work(): Promise<void>
  /** Returns how many tasks were done, and how many namespaces have only tasks that are put aside. */
  progress(): { readonly done: number; readonly waiting: number }
}

function createWorker(dependencies: PullSecretsDependencies, context: WorkerContext): Worker {
  const { writesPerSecond } = dependencies.settings
  const { limiter = createWriteLimiter(writesPerSecond) } = dependencies
  const maxWrites = concurrentWrites(writesPerSecond)
  const { queue, backoff, signal } = context
  const tasksOf = createTaskPlanner({ ...dependencies, ...context, limiter })
  const perform = createPerformer({ ...dependencies, limiter }, context)
  const running = new Set<Promise<void>>()
  const waiting = new Set<string>()
  let done = 0

  /** Returns the first task that is not put aside, or null, and then queues the namespace for the time of the next one. */
  function firstTask(namespace: string): NamespaceTask | null {
    let soonest = Infinity
    waiting.delete(namespace)
    for (const task of tasksOf(namespace)) {
      const delayMs = backoff.delayMs(task.id)
      if (delayMs === 0) return task
      soonest = Math.min(soonest, delayMs)
    }
    if (soonest === Infinity) return null
    waiting.add(namespace)
    queue.addLater(namespace, soonest)
    return null
  }

  async function run(namespace: string, task: NamespaceTask): Promise<void> {
    if (await perform(namespace, task)) done += 1
  }

  return {
    async work() {
      // Takes nothing off the queue before the next write is allowed, so that urgent namespaces can still come first.
      await sleep(limiter.delayMs(), signal)
      while (running.size >= maxWrites) await Promise.race(running)
      const namespace = queue.next()
      if (namespace === null || signal.aborted) return
      const task = firstTask(namespace)
      if (task === null) {
        queue.release(namespace)
        await nextTurn()
        return
      }
      const work: Promise<void> = run(namespace, task).finally(() => running.delete(work))
      running.add(work)
    },
    progress: () => ({ done, waiting: waiting.size }),
  }
}

/** Returns a function that runs a task, records the result, and queues its namespace again. It returns whether it succeeded. */
function createPerformer(
  { log, metrics, limiter }: PullSecretsDependencies & { readonly limiter: RateLimiter },
  { queue, backoff, signal }: WorkerContext,
): (namespace: string, task: NamespaceTask) => Promise<boolean> {
  /** The kinds of writes that lack their right. It is missing in many namespaces, and logged once. */
  const missingRights = new Set<string>()

  function recordFailure(namespace: string, task: NamespaceTask, error: unknown) {
    const { id, kind, fields } = task
    const reason = refusalReason(error)
    const isKnown = reason !== null && backoff.failure(id)?.reason === reason
    const retryAfterMs = error instanceof KubeError ? error.retryAfterMs : 0
    backoff.recordFailure(id, { reason, retryAfterMs })
    if (task.isRead !== true) metrics.wrote(kind, 'failed')
    const problem = { namespace, kind, ...fields, problem: String(error) }
    const isFirst = isMissingRight(error) && !missingRights.has(kind)
    if (isFirst) log.warn({ ...problem, fix: missingRightFix }, 'right missing')
    if (isMissingRight(error)) missingRights.add(kind)
    const level = isKnown || isMissingRight(error) ? 'debug' : 'warn'
    log[level](problem, task.isRead === true ? 'pull secret not read' : 'pull secret not written')
  }

  async function succeeds(namespace: string, task: NamespaceTask): Promise<boolean> {
    const { id, fields } = task
    try {
      if (task.isLimited !== true && task.isRead !== true) await limiter.acquire(signal)
      const kind = await task.run()
      backoff.recordSuccess(id)
      if (task.isRead === true) return true
      metrics.wrote(kind, 'done')
      log.info({ namespace, kind, ...fields }, 'pull secret written')
      return true
    } catch (error) {
      if (!signal.aborted) recordFailure(namespace, task, error)
      return false
    }
  }

  return async (namespace, task) => {
    const isDone = await succeeds(namespace, task)
    // After a failure, the other tasks of the namespace go on.
    queue.add(namespace, isDone ? 'urgent' : 'ordinary')
    queue.release(namespace)
    return isDone
  }
}
