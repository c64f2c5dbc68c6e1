/**
 * Keeps copies of pull secrets in namespaces, and in the lists of service accounts. Watches are filtered by the API
 * server, so that the data of other secrets never enters the process; at rest nothing is written.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/config.ts'
import type { KubeApi } from '../kube/api.ts'
import { readContent } from '../propagation/content.ts'
import { type Finding, planNamespace, type Wanted, type Write } from '../propagation/plan.ts'
import { showSource } from '../propagation/settings.ts'
import type { Logger } from '../telemetry/log.ts'
import type { PropagationMetrics } from '../telemetry/propagation-metrics.ts'
import type { Loop } from './loop.ts'
import { createPace } from './pace.ts'
import { execute } from './secret-writes.ts'
import { followCluster, type Followed } from './secret-watches.ts'
import { createWorkQueue, type WorkQueue } from './work-queue.ts'

export interface PullSecretsDependencies {
  readonly api: KubeApi
  readonly settings: Config['pullSecretCopies']
  readonly log: Logger
  readonly metrics: PropagationMetrics
}

/** Ten writes a second: 500 namespaces follow a rotation within a minute, and no API server notices. */
const writeGapMs = 100

/** Enough for ten writes a second to an API server that takes 400 ms for each. */
const writesUnderWay = 4

export function createPullSecretsLoop(dependencies: PullSecretsDependencies): Loop {
  return { name: 'pull-secrets', run: (signal) => run(dependencies, signal) }
}

async function run(dependencies: PullSecretsDependencies, signal: AbortSignal): Promise<void> {
  const { api, settings, log } = dependencies
  const queue = createWorkQueue()
  let wanted: readonly Wanted[] = []
  const followed = followCluster(
    { api, log },
    {
      settings,
      signal,
      onNamespace: (namespace) => queue.add(namespace, 'urgent'),
      onSources: () => {
        wanted = contents(dependencies, followed)
        for (const namespace of followed.namespaces.keys()) queue.add(namespace, 'ordinary')
      },
    },
  )
  await followed.synced
  wanted = contents(dependencies, followed)
  log.info({ namespaces: followed.namespaces.size }, 'pull secrets: the cluster is known')
  const work = createWorker(dependencies, { queue, followed, wanted: () => wanted, signal })
  while (!signal.aborted) {
    await queue.ready(signal)
    await work()
  }
}

/** What each copy should hold; problems are logged when they are new. */
function contents({ settings, log }: PullSecretsDependencies, followed: Followed): Wanted[] {
  return settings.copies.map((copy) => {
    const isKnown = copy.from.every((source) => followed.knows(source))
    const content = isKnown ? readContent(copy, (source) => followed.source(source)) : null
    const from = copy.from.map(showSource).join(', ')
    if (content === null) log.info({ copy: copy.name, from }, 'pull secrets: sources not read yet')
    else if (content.kind !== 'good')
      log.warn({ copy: copy.name, reason: content.reason }, `pull secrets: source ${content.kind}`)
    return { settings: copy, content }
  })
}

interface Work {
  readonly queue: WorkQueue
  readonly followed: Followed
  readonly wanted: () => readonly Wanted[]
  readonly signal: AbortSignal
}

/** Takes namespaces off the queue until it is empty: plans each, and does the first thing that there is to do. */
function createWorker(
  { api, settings, log, metrics }: PullSecretsDependencies,
  { queue, followed, wanted, signal }: Work,
): () => Promise<void> {
  const pace = createPace(writeGapMs, () => performance.now())
  const findings = createFindings(settings, metrics)
  const underWay = new Set<Promise<void>>()

  function plan(name: string) {
    const namespace = followed.namespaces.get(name)
    if (namespace === undefined) return { writes: [], findings: [] }
    return planNamespace(
      wanted().filter(({ settings: { name: copy } }) => followed.isReady(copy)),
      { name, namespace, accounts: followed.accounts.of(name), secrets: followed.secrets.of(name) },
    )
  }

  async function write(namespace: string, todo: Write): Promise<void> {
    const what = describe(todo)
    try {
      const turn = (stop: AbortSignal) => pace.turn(stop)
      const written = await execute({ api, turn, signal }, namespace, todo)
      const { kind, name, now } = written
      if (now === null) followed[kind === 'secret' ? 'secrets' : 'accounts'].drop(namespace, name)
      else if (kind === 'secret') followed.secrets.put(namespace, name, now)
      else followed.accounts.put(namespace, name, now)
      metrics.wrote(todo.kind, 'done')
      log.info({ namespace, ...what, reason: todo.reason }, 'pull secrets: wrote')
      queue.release(namespace, 'done')
      queue.add(namespace, 'urgent')
    } catch (error) {
      if (signal.aborted) return
      metrics.wrote(todo.kind, 'failed')
      log.warn({ namespace, ...what, problem: String(error) }, 'pull secrets: not written')
      queue.release(namespace, 'retry')
    }
  }

  return async () => {
    // Until the next write may be done nothing is taken, so that what becomes urgent meanwhile comes first.
    await sleep(pace.wait(), undefined, { signal }).catch(() => undefined)
    while (underWay.size >= writesUnderWay) await Promise.race(underWay)
    const next = queue.take()
    if (next === null || signal.aborted) return
    const { name } = next
    const { writes, findings: found } = plan(name)
    findings.set(name, found)
    const [first] = writes
    if (first === undefined) {
      queue.release(name, 'done')
      await nextTurn()
      return
    }
    const writing: Promise<void> = write(name, first).finally(() => underWay.delete(writing))
    underWay.add(writing)
  }
}

function describe(write: Write): Readonly<Record<string, string>> {
  const { kind } = write
  if (kind !== 'link') return { kind, secret: write.copy }
  const { account, add, take } = write
  return {
    kind,
    serviceAccount: account,
    ...(add.length === 0 ? {} : { add: add.join(',') }),
    ...(take.length === 0 ? {} : { take: take.join(',') }),
  }
}

/** Counts, for the metric, in how many namespaces something is wrong. */
function createFindings({ copies }: Config['pullSecretCopies'], metrics: PropagationMetrics) {
  const byNamespace = new Map<string, readonly Finding[]>()
  function publish(): void {
    const all = [...byNamespace.values()].flat()
    for (const { name } of copies) {
      const counts = { conflict: 0, invalid: 0, absent: 0 }
      for (const { copy, kind } of all) if (copy === name) counts[kind] += 1
      metrics.findings(name, counts)
    }
  }
  publish()
  return {
    set(namespace: string, found: readonly Finding[]): void {
      const before = byNamespace.get(namespace) ?? []
      if (found.length === 0 && before.length === 0) return
      if (found.length === 0) byNamespace.delete(namespace)
      else byNamespace.set(namespace, found)
      publish()
    },
  }
}
