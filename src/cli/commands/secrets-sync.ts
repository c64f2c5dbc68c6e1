/** The plan for pull secrets, and its doing: namespace by namespace, each for itself. */
import { stringify } from 'yaml'
import type { Config } from '../../config/config.ts'
import { createRateLimiter } from '../../controller/runtime/rate-limiter.ts'
import { type ClusterCache, startInformers } from '../../pull-secrets/cluster/informers.ts'
import { execute } from '../../pull-secrets/cluster/apply-writes.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { readContent } from '../../pull-secrets/content.ts'
import { planNamespace, type WantedCopy, type SecretWrite } from '../../pull-secrets/plan.ts'
import { formatSource } from '../../config/copy-settings.ts'
import { type Io, print } from '../io.ts'
import { table } from '../output/table.ts'

export interface SecretsTask {
  readonly api: KubeApi
  readonly settings: Config['pullSecretCopies']
  /** Null: all. */
  readonly namespace: string | null
  readonly output: 'table' | 'json' | 'yaml'
  readonly io: Io
}

/** As in the controller. */
const writeGapMs = 105

/** One line of the output. Holds no content. */
interface Line {
  readonly namespace: string
  readonly action: string
  readonly object: string
  readonly reason: string
}

interface Snapshot {
  readonly followed: ClusterCache
  readonly wanted: readonly WantedCopy[]
  /** What could not be read, by namespace. */
  readonly unread: readonly Line[]
  readonly namespaces: readonly string[]
}

/** Shows what would be written. 1 when there is something, or something is wrong. */
export async function planSecrets(task: SecretsTask): Promise<number> {
  return withSnapshot(task, (snapshot) => {
    const lines = snapshot.namespaces.flatMap((name) => {
      const { writes, findings } = plan(snapshot, name)
      return [...writes.map((write) => lineOf(name, write)), ...findings.map(findingLine(name))]
    })
    return Promise.resolve(show(task, [...snapshot.unread, ...lines]))
  })
}

/** Writes, and shows what was written. 1 when something could not be, or is wrong; 0 when all is as it should be. */
export async function syncSecrets(task: SecretsTask): Promise<number> {
  return withSnapshot(task, async (snapshot, signal) => {
    const done: Line[] = []
    const wrong: Line[] = [...snapshot.unread]
    const pace = createRateLimiter(writeGapMs, () => performance.now())
    const turn = (stop: AbortSignal) => pace.acquire(stop)
    for (const name of snapshot.namespaces) {
      const { writes, findings } = plan(snapshot, name)
      wrong.push(...findings.map(findingLine(name)))
      for (const write of writes) {
        try {
          await execute({ api: task.api, turn, signal }, name, write)
          done.push(lineOf(name, write))
        } catch (error) {
          task.io.signal.throwIfAborted()
          const reason = error instanceof Error ? error.message : String(error)
          wrong.push({ ...lineOf(name, write), action: 'failed', reason })
          // What follows in this namespace may rest on it.
          break
        }
      }
    }
    show(task, [...wrong, ...done])
    return wrong.length === 0 ? 0 : 1
  })
}

async function withSnapshot(
  { api, settings, namespace, io }: SecretsTask,
  use: (snapshot: Snapshot, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const stop = new AbortController()
  const end = () => stop.abort(io.signal.reason)
  io.signal.addEventListener('abort', end, { once: true })
  const unread: Line[] = []
  const failures: unknown[] = []
  const followed = startInformers(
    {
      api,
      onTrouble: (error, where) => {
        if (where.namespace === undefined) failures.push(error)
        else unread.push(unreadLine(where.namespace, where.resource, error))
      },
    },
    { settings, signal: stop.signal, onNamespace: () => undefined, onSources: () => undefined },
  )
  try {
    await followed.answered
    const [failure] = failures
    if (failure instanceof Error) throw failure
    const wanted = settings.copies.map((copy): WantedCopy => {
      const isKnown = copy.from.every((source) => followed.knows(source))
      const content = isKnown ? readContent(copy, (source) => followed.source(source)) : null
      return { settings: copy, content }
    })
    const all = [...followed.namespaces.keys()].sort()
    const missing = settings.copies
      .flatMap(({ namespaces }) => namespaces.named)
      .filter((name) => !followed.namespaces.has(name))
      .map((name) => lineFor(name, 'missing', `namespace ${name}`, 'it is not there'))
    const snapshot = {
      followed,
      wanted,
      unread: [...unread, ...sourceLines(wanted), ...(namespace === null ? missing : [])],
      namespaces: namespace === null ? all : all.filter((name) => name === namespace),
    }
    return await use(snapshot, stop.signal)
  } finally {
    io.signal.removeEventListener('abort', end)
    stop.abort()
  }
}

function plan({ followed, wanted }: Snapshot, name: string) {
  const namespace = followed.namespaces.get(name)
  if (namespace === undefined) return { writes: [], findings: [] }
  const { writes, findings } = planNamespace(
    wanted.filter(({ settings }) => followed.isReady(name, settings.name)),
    { name, namespace, accounts: followed.accounts.of(name), secrets: followed.secrets.of(name) },
  )
  // What is wrong with a source is told once.
  return { writes, findings: findings.filter(({ kind }) => kind === 'conflict') }
}

function sourceLines(wanted: readonly WantedCopy[]): Line[] {
  return wanted.flatMap(({ settings, content }) => {
    const object = `secret ${settings.from.map(formatSource).join(', ')}`
    if (content === null || content.kind === 'good') return []
    return [lineFor('', content.kind, object, content.reason)]
  })
}

function lineOf(namespace: string, write: SecretWrite): Line {
  if (write.kind === 'link')
    return lineFor(namespace, 'link', `serviceaccount ${write.account}`, write.reason)
  return lineFor(namespace, write.kind, `secret ${write.copy}`, write.reason)
}

function findingLine(namespace: string) {
  return ({ kind, copy, reason }: { kind: string; copy: string; reason: string }) =>
    lineFor(namespace, kind, `secret ${copy}`, reason)
}

function unreadLine(namespace: string, resource: string, error: unknown): Line {
  return lineFor(
    namespace,
    'unread',
    resource,
    error instanceof Error ? error.message : String(error),
  )
}

function lineFor(namespace: string, action: string, object: string, reason: string): Line {
  return { namespace, action, object, reason }
}

function show({ output, io }: SecretsTask, lines: readonly Line[]): number {
  if (output === 'json') print(io.stdout, JSON.stringify(lines, null, 2))
  else if (output === 'yaml') print(io.stdout, stringify(lines))
  else if (lines.length === 0) print(io.stderr, 'every copy and every list is as it should be')
  else print(io.stdout, table(['namespace', 'action', 'object', 'reason'], lines))
  return lines.length === 0 ? 0 : 1
}
