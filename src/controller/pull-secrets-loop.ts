/**
 * Keeps copies of pull secrets in namespaces, and in the lists of service accounts. Watches are filtered by the API
 * server, so that the data of other secrets never enters the process; at rest nothing is written.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/config.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { type Content, readContent } from '../pull-secrets/content.ts'
import { planNamespace, type WantedCopy, type SecretWrite } from '../pull-secrets/plan.ts'
import type { Logger } from '../telemetry/log.ts'
import type { PullSecretMetrics } from '../telemetry/pull-secret-metrics.ts'
import {
  createConflicts,
  createFindings,
  presentCopies,
  type Task,
} from '../pull-secrets/cluster/findings.ts'
import type { Loop } from './runtime/loops.ts'
import { createRateLimiter } from '../async/rate-limiter.ts'
import { createWriteBackoff } from './runtime/write-backoff.ts'
import { execute } from '../pull-secrets/cluster/apply-writes.ts'
import { startInformers, type ClusterCache } from '../pull-secrets/cluster/informers.ts'
import { createStuckPods } from '../pull-secrets/cluster/recreate-stuck-pods.ts'
import { createWorkQueue, type WorkQueue } from './runtime/work-queue.ts'

export interface PullSecretsDependencies {
  readonly api: KubeApi
  readonly settings: Config['pullSecretCopies']
  readonly log: Logger
  readonly metrics: PullSecretMetrics
}

/** Never more than ten in one second, though requests travel unevenly: 500 namespaces follow a rotation within a minute. */
const writeGapMs = 105

/** Enough for ten writes a second to an API server that takes 400 ms for each. */
const writesUnderWay = 4

export function createPullSecretsLoop(dependencies: PullSecretsDependencies): Loop {
  return { name: 'pull-secrets', run: (signal) => run(dependencies, signal) }
}

async function run(dependencies: PullSecretsDependencies, signal: AbortSignal): Promise<void> {
  const { api, settings, log } = dependencies
  const queue = createWorkQueue()
  let wanted: readonly WantedCopy[] = []
  let isComplete = false
  const onTrouble = (error: unknown, about: object) =>
    log.warn({ ...about, problem: String(error) }, 'pull secrets: a watch was broken off')
  const sources = createSources(dependencies, () => followed, signal)
  const followed: ClusterCache = startInformers(
    { api, onTrouble },
    {
      settings,
      withPods: true,
      signal,
      // What is read first is read in bulk.
      onNamespace: (namespace) => queue.add(namespace, isComplete ? 'urgent' : 'ordinary'),
      onSources: () => refresh(),
    },
  )
  function refresh(): void {
    wanted = sources.read(refresh)
    for (const namespace of followed.namespaces.keys()) queue.add(namespace, 'ordinary')
  }
  const complete = () => {
    isComplete = true
    refresh()
  }
  followed.answered.then(complete, () => undefined)
  const work = createWorker(dependencies, { queue, followed, wanted: () => wanted, signal })
  let isAtRest = false
  while (!signal.aborted) {
    await queue.ready(signal)
    if (await work()) isAtRest = false
    if (isAtRest || !isComplete || !queue.isIdle()) continue
    isAtRest = true
    log.info({ namespaces: followed.namespaces.size }, 'pull secrets: at rest')
  }
}

/** A source that somebody makes anew is gone for a moment: its copies are not taken away for that. */
const absenceMs = 30_000

/** What each copy should hold; problems are logged when they are new. */
function createSources(
  { settings, log }: PullSecretsDependencies,
  followed: () => ClusterCache,
  signal: AbortSignal,
): { read(again: () => void): WantedCopy[] } {
  const absentSince = new Map<string, number>()
  const told = new Map<string, string>()

  function isGone(copy: string, again: () => void): boolean {
    const since = absentSince.get(copy)
    if (since !== undefined) return performance.now() - since >= absenceMs
    absentSince.set(copy, performance.now())
    sleep(absenceMs, undefined, { signal, ref: false }).then(again, () => undefined)
    return false
  }

  function say(copy: string, content: Content): void {
    const words = content.kind === 'good' ? 'good' : `${content.kind}: ${content.reason}`
    if (told.get(copy) === words) return
    told.set(copy, words)
    if (content.kind === 'good') log.info({ copy, from: content.from }, 'pull secrets: source read')
    else log.warn({ copy, reason: content.reason }, `pull secrets: source ${content.kind}`)
  }

  return {
    read: (again) =>
      settings.copies.map((copy): WantedCopy => {
        const { name, from } = copy
        if (!from.every((source) => followed().knows(source)))
          return { settings: copy, content: null }
        const content = readContent(copy, (source) => followed().source(source))
        say(name, content)
        if (content.kind !== 'absent') absentSince.delete(name)
        else if (!isGone(name, again)) return { settings: copy, content: null }
        return { settings: copy, content }
      }),
  }
}

interface Work {
  readonly queue: WorkQueue
  readonly followed: ClusterCache
  readonly wanted: () => readonly WantedCopy[]
  readonly signal: AbortSignal
}

/** Takes one namespace off the queue, plans it, and begins the first thing that there is to do; true if there was one. */
function createWorker(
  { api, settings, log, metrics }: PullSecretsDependencies,
  { queue, followed, wanted, signal }: Work,
): () => Promise<boolean> {
  const pace = createRateLimiter(writeGapMs)
  const patience = createWriteBackoff(() => performance.now())
  const findings = createFindings(settings, metrics)
  const stuck = createStuckPods(api, settings.stuckPods, () => Date.now())
  const conflicts = createConflicts(api)
  const underWay = new Set<Promise<void>>()
  const turn = (stop: AbortSignal) => pace.acquire(stop)

  /** The first thing to do in a namespace; null when there is nothing. */
  function firstTask(name: string): Task | null {
    const namespace = followed.namespaces.get(name)
    if (namespace === undefined) return null
    const here = wanted().filter(({ settings: copy }) => followed.isReady(name, copy.name))
    const accounts = followed.accounts.of(name)
    const secrets = followed.secrets.of(name)
    const plan = planNamespace(here, { name, namespace, accounts, secrets })
    findings.set(name, plan.findings)
    for (const todo of plan.writes) {
      const id = `${name}/${identify(todo)}`
      const waitMs = patience.delayMs(id)
      if (waitMs === 0) return writing(name, id, todo)
      queue.addLater(name, waitMs)
    }
    const conflict = conflicts.next(name, plan.findings, secrets)
    if (conflict !== null) return conflict
    const cause = stuck.next(
      followed.pods.of(name).values(),
      presentCopies(here, secrets),
      accounts,
    )
    if (cause === null) return null
    return {
      kind: cause.kind,
      about: { pod: cause.pod.name, reason: cause.message },
      run: () => stuck.treat(name, cause),
    }
  }

  function writing(namespace: string, id: string, todo: SecretWrite): Task {
    return {
      kind: todo.kind,
      about: describe(todo),
      paces: true,
      run: async () => {
        const { kind, name, now } = await execute({ api, turn, signal }, namespace, todo)
        if (now === null) followed[kind === 'secret' ? 'secrets' : 'accounts'].drop(namespace, name)
        else if (kind === 'secret') followed.secrets.put(namespace, name, now)
        else followed.accounts.put(namespace, name, now)
        patience.recordWrite(id)
        return todo.kind
      },
    }
  }

  async function perform(namespace: string, task: Task): Promise<void> {
    try {
      if (task.paces !== true) await turn(signal)
      const did = await task.run()
      metrics.wrote(did, 'done')
      log.info({ namespace, kind: did, ...task.about }, 'pull secrets: wrote')
      queue.release(namespace, 'done')
      queue.add(namespace, 'urgent')
    } catch (error) {
      if (signal.aborted) return
      metrics.wrote(task.kind, 'failed')
      const { kind, about } = task
      log.warn({ namespace, kind, ...about, problem: String(error) }, 'pull secrets: not written')
      queue.release(namespace, 'retry')
    }
  }

  return async () => {
    // Until the next write may be done nothing is taken, so that what becomes urgent meanwhile comes first.
    await sleep(pace.delayMs(), undefined, { signal }).catch(() => undefined)
    while (underWay.size >= writesUnderWay) await Promise.race(underWay)
    const name = queue.take()
    if (name === null || signal.aborted) return false
    const task = firstTask(name)
    if (task === null) {
      queue.release(name, 'done')
      await nextTurn()
      return false
    }
    const work: Promise<void> = perform(name, task).finally(() => underWay.delete(work))
    underWay.add(work)
    return true
  }
}

/** The same for two writes that do the same: what is written again and again is undone by somebody. */
function identify(write: SecretWrite): string {
  if (write.kind === 'link')
    return `link/${write.account}/${write.add.join(',')}/${write.take.join(',')}`
  return `${write.kind === 'remove' ? '' : write.content.hash}/${write.kind}/${write.copy}`
}

function describe(write: SecretWrite): Readonly<Record<string, string>> {
  const { reason } = write
  if (write.kind !== 'link') return { secret: write.copy, reason }
  const { account, add, take } = write
  return {
    reason,
    serviceAccount: account,
    ...(add.length === 0 ? {} : { add: add.join(',') }),
    ...(take.length === 0 ? {} : { take: take.join(',') }),
  }
}
