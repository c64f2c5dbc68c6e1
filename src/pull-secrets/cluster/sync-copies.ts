/** Plans and writes the copies of pull secrets once, for `berth secrets plan` and `berth secrets sync`. */
import { linkAbort } from '../../async/abort.ts'
import type { Config } from '../../config/config.ts'
import { formatSource } from '../../config/copy-settings.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import type { NamespacePlan, SecretWrite, WantedCopy } from '../plan.ts'
import { planNamespace } from '../plan.ts'
import { withoutLinks } from '../plan-links.ts'
import { applyWrite, type WriteDependencies } from './apply-writes.ts'
import { readForeignSecret } from './foreign-reader.ts'
import { type ClusterCache, startInformers } from './informers.ts'
import { readLimitedContent } from './source-reader.ts'
import { createWriteLimiter } from './write-rate.ts'

export interface SyncOptions {
  readonly api: KubeApi
  readonly settings: Config['pullSecretCopies']
  /** Null for all namespaces. */
  readonly namespace: string | null
  readonly signal: AbortSignal
}

/** One line of the output of `berth secrets plan` and `sync`. Holds no secret. */
export interface SyncLine {
  readonly namespace: string
  readonly action: string
  readonly object: string
  readonly reason: string
}

/** Returns what a sync would write, and what it could not. Throws KubeError. */
export function planCopies(options: SyncOptions): Promise<readonly SyncLine[]> {
  return withSnapshot(options, ({ cache, wanted, problems, namespaces }) => {
    const lines = namespaces.flatMap((name) => {
      const { writes, findings } = planOf(cache, wanted, name)
      return [...writes.map((write) => writeLine(name, write)), ...findings.map(findingLine(name))]
    })
    return Promise.resolve([...problems, ...lines])
  })
}

export interface SyncResult {
  readonly written: readonly SyncLine[]
  readonly problems: readonly SyncLine[]
}

/** Writes what the plan says. A failed write does not keep others from being written, except the links to its copy. Throws KubeError. */
export function syncCopies(options: SyncOptions): Promise<SyncResult> {
  return withSnapshot(options, async ({ cache, wanted, problems, namespaces }, signal) => {
    const written: SyncLine[] = []
    const failed: SyncLine[] = []
    const limiter = createWriteLimiter(options.settings.writesPerSecond)
    const context = { api: options.api, limiter, signal }
    for (const name of namespaces) {
      const { writes, findings } = planOf(cache, wanted, name)
      for (const line of findings.map(findingLine(name))) failed.push(line)
      const missing = new Set<string>()
      for (const planned of writes) {
        const write = withoutLinks(planned, (copy) => missing.has(copy))
        if (write === null) continue
        const reason = await tryWrite(context, name, write)
        const line = writeLine(name, write)
        if (reason === null) written.push(line)
        else failed.push({ ...line, action: 'failed', reason })
        if (reason !== null && isNewCopy(write)) missing.add(write.copy)
      }
    }
    return { written, problems: [...problems, ...failed] }
  })
}

/** Returns whether the namespace has no copy before the write. */
function isNewCopy(write: SecretWrite): write is SecretWrite & { kind: 'create' | 'update' } {
  return write.kind === 'create' || (write.kind === 'update' && write.isAdoption)
}

/** Returns why the write failed; null if it did not. Throws when the signal aborts. */
async function tryWrite(
  context: WriteDependencies,
  namespace: string,
  write: SecretWrite,
): Promise<string | null> {
  try {
    await applyWrite(context, namespace, write)
    return null
  } catch (error) {
    context.signal.throwIfAborted()
    return messageOf(error)
  }
}

interface Snapshot {
  readonly cache: ClusterCache
  readonly wanted: readonly WantedCopy[]
  readonly problems: readonly SyncLine[]
  readonly namespaces: readonly string[]
}

/** Reads the cluster through informers, which stop when `use` settles. */
async function withSnapshot<Result>(
  { api, settings, namespace, signal }: SyncOptions,
  use: (snapshot: Snapshot, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const work = linkAbort(signal)
  const unread: SyncLine[] = []
  const failures: unknown[] = []
  const cache = startInformers({
    api,
    settings,
    signal: work.signal,
    onNamespace: () => undefined,
    onSources: () => undefined,
    onError: (error, _, ref) => {
      if (ref.namespace === undefined) failures.push(error)
      else unread.push(lineOf(ref.namespace, 'unread', ref.resource, messageOf(error)))
    },
  })
  try {
    await cache.settled
    const [failure] = failures
    if (failure instanceof Error) throw failure
    const wanted = settings.copies.map((copy): WantedCopy => {
      const isKnown = copy.from.every((source) => cache.isSourceRead(source))
      const content = isKnown ? readLimitedContent(copy, cache) : null
      return { settings: copy, content }
    })
    const names = [...cache.namespaces.keys()].sort()
    const missing = namespace === null ? missingLines(settings, cache) : []
    const namespaces = names.filter((name) => namespace === null || name === namespace)
    for (const name of namespaces)
      unread.push(...(await readForeignSecrets(api, { cache, wanted }, name, work.signal)))
    const problems = [...unread, ...sourceLines(wanted), ...missing]
    return await use({ cache, wanted, problems, namespaces }, work.signal)
  } finally {
    work.unlink()
    work.abort()
  }
}

/** Reads the content of secrets that may be adopted, and returns a line for each one that cannot be read. */
async function readForeignSecrets(
  api: KubeApi,
  { cache, wanted }: Pick<Snapshot, 'cache' | 'wanted'>,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly SyncLine[]> {
  const lines: SyncLine[] = []
  for (const name of planOf(cache, wanted, namespace).unread)
    try {
      const secret = await readForeignSecret(api, { namespace, name }, signal)
      if (secret !== null) cache.secrets.put(namespace, name, secret)
    } catch (error) {
      signal.throwIfAborted()
      lines.push(lineOf(namespace, 'unread', `secret ${name}`, messageOf(error)))
    }
  return lines
}

function planOf(cache: ClusterCache, wanted: readonly WantedCopy[], name: string): NamespacePlan {
  const namespace = cache.namespaces.get(name)
  if (namespace === undefined) return { writes: [], findings: [], unread: [] }
  const { writes, findings, unread } = planNamespace(
    wanted.filter(({ settings }) => cache.isReady(name, settings.name)),
    { name, namespace, accounts: cache.accounts.of(name), secrets: cache.secrets.of(name) },
  )
  // `sourceLines` has the problems of sources, once for all namespaces.
  return { writes, findings: findings.filter(({ kind }) => kind === 'conflict'), unread }
}

function missingLines(
  { copies }: Config['pullSecretCopies'],
  { namespaces }: ClusterCache,
): readonly SyncLine[] {
  return copies
    .flatMap((copy) => copy.namespaces.literalNames)
    .filter((name) => !namespaces.has(name))
    .map((name) => lineOf(name, 'missing', `namespace ${name}`, 'the namespace does not exist'))
}

function sourceLines(wanted: readonly WantedCopy[]): readonly SyncLine[] {
  return wanted.flatMap(({ settings, content }) => {
    if (content === null || content.kind === 'valid') return []
    const object = `secret ${settings.from.map(formatSource).join(', ')}`
    return [lineOf('', content.kind, object, content.reason)]
  })
}

function writeLine(namespace: string, write: SecretWrite): SyncLine {
  const object = write.kind === 'link' ? `serviceaccount ${write.account}` : `secret ${write.copy}`
  return lineOf(namespace, write.kind, object, write.reason)
}

function findingLine(namespace: string) {
  return ({ kind, copy, reason }: NamespacePlan['findings'][number]) =>
    lineOf(namespace, kind, `secret ${copy}`, reason)
}

function lineOf(namespace: string, action: string, object: string, reason: string): SyncLine {
  return { namespace, action, object, reason }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
