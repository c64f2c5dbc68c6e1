/** Plans what `berth mirror --prune` removes from the mirrors of the table. Reads registries, and changes nothing. */
import { createLimit } from '../../async/limit.ts'
import type { Config } from '../../config/config.ts'
import { parseName } from '../../decision/reference/parse-name.ts'
import { BerthError } from '../../errors.ts'
import { shortDigest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/http/registry-error.ts'
import { listRepositories } from '../../registry/manifests/catalog.ts'
import { hasManifest } from '../../registry/manifests/manifests.ts'
import { listTags } from '../../registry/manifests/tags.ts'
import type { RegistryClient } from '../../registry/registry-client.ts'
import type { LoggedDigest } from '../audit-log.ts'
import type { NeededImages } from './needed-images.ts'
import {
  planRemovals,
  type PruneTag,
  type Removal,
  type RemovalPlan,
  subjectOfTag,
} from './plan-removals.ts'
import { readGraph, readTag, type TagState, type UnreadTag } from './read-repository.ts'
import { createFindWriters, type RepositoryWriter } from './repository-writers.ts'

export interface PlannedTag {
  readonly tag: string
  /** Null for a tag that cannot be read. */
  readonly digest: string | null
  /** The earliest known time at which the tag had the digest, in milliseconds since the epoch; null if unknown. */
  readonly since: number | null
  readonly action: 'remove' | 'keep'
  readonly why: string
}

export interface RepositoryPlan {
  readonly host: string
  readonly path: string
  readonly tags: readonly PlannedTag[]
  readonly removals: readonly Removal[]
  /** For each digest that is removed, what it needs of the others. */
  readonly holds: RemovalPlan['holds']
}

export interface PrunePlan {
  readonly repositories: readonly RepositoryPlan[]
  /** The number of repositories on the mirrors that no row writes to. */
  readonly others: number
}

export interface PlanPruneOptions {
  readonly config: Config
  readonly registries: RegistryClient
  readonly needed: NeededImages
  /** The only repositories to plan for, as `host/path`; empty for all that the mirrors list. */
  readonly only: readonly string[]
  readonly olderThanMs: number
  /** Looks up a tag in the audit log. */
  readonly history: (name: string, digest: string) => LoggedDigest | null
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Requests at the same time. */
  readonly jobs: number
  readonly signal: AbortSignal
  /** Receives the name of each repository before it is read. */
  readonly onRepository: (name: string) => void
}

/** A repository of a mirror that rows write to. */
interface WrittenRepository {
  readonly host: string
  readonly path: string
  readonly writers: readonly RepositoryWriter[]
}

/** Why a tag stays that nothing needs. */
export const unknownAge = 'its age is not known'

/** Tags that are kept in memory for the plan: 500 bytes each. */
const maxTags = 250_000

/** Returns the plan. Throws `usage`, and `prune-refused` if a list or a manifest cannot be read. */
export async function planPrune(options: PlanPruneOptions): Promise<PrunePlan> {
  const { repositories, others } = await findRepositories(options)
  const plans: RepositoryPlan[] = []
  let tags = 0
  for (const repository of repositories) {
    const name = `${repository.host}/${repository.path}`
    options.onRepository(name)
    const plan = await orRefuse(name, options.signal, () => planRepository(repository, options))
    tags += plan.tags.length
    if (tags > maxTags)
      throw new BerthError('prune-refused', 'more than 250,000 tags; name some of the repositories')
    plans.push(plan)
  }
  return { repositories: plans, others }
}

async function findRepositories(
  options: PlanPruneOptions,
): Promise<{ readonly repositories: readonly WrittenRepository[]; readonly others: number }> {
  const { config, registries, only, signal } = options
  const findWriters = createFindWriters(config.table)
  const hosts = pushedMirrors(config)
  const written = (host: string, path: string) => ({ host, path, writers: findWriters(host, path) })
  if (only.length > 0) {
    const repositories = only.map((name) => {
      const { host, path } = readRepositoryName(name, hosts)
      const found = written(host, path)
      if (found.writers.length > 0) return found
      throw new BerthError('usage', `${name}: no row of the table writes to it`)
    })
    return { repositories, others: 0 }
  }
  const repositories: WrittenRepository[] = []
  let others = 0
  for (const host of hosts) {
    const paths = await orRefuse(`the list of repositories of ${host}`, signal, () =>
      listRepositories(registries, host, signal),
    )
    const found = [...new Set(paths)].map((path) => written(host, path))
    repositories.push(...found.filter(({ writers }) => writers.length > 0))
    others += found.filter(({ writers }) => writers.length === 0).length
  }
  return { repositories, others }
}

/** Returns one host for each mirror that Berth pushes to, although one registry may be listed under several names. */
function pushedMirrors({ table, registries }: Config): readonly string[] {
  const endpointOf = (host: string) => registries.get(host)?.endpoint.href ?? host
  const all = [...table.mirrors.keys()]
  const untouched = new Set(all.filter((host) => table.neverPushed.has(host)).map(endpointOf))
  const byEndpoint = new Map(all.toReversed().map((host) => [endpointOf(host), host]))
  return [...byEndpoint].flatMap(([endpoint, host]) => (untouched.has(endpoint) ? [] : [host])).toReversed() // prettier-ignore
}

function readRepositoryName(
  name: string,
  hosts: readonly string[],
): { readonly host: string; readonly path: string } {
  const parsed = parseName(name)
  if (!parsed.ok) throw new BerthError('usage', `${name}: ${parsed.message}`)
  const { domain: host, path, tag, digest } = parsed.reference
  if (tag !== null || digest !== null)
    throw new BerthError('usage', `${name}: name a repository, without a tag and digest`)
  if (hosts.includes(host)) return { host, path }
  const known = hosts.length === 0 ? 'there is none' : `choose one of ${hosts.join(', ')}`
  throw new BerthError('usage', `${name} is not on a mirror that Berth pushes to: ${known}`)
}

async function orRefuse<Result>(
  what: string,
  signal: AbortSignal,
  read: () => Promise<Result>,
): Promise<Result> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof RegistryError) || signal.aborted) throw error
    const fix = what.startsWith('the list of repositories') ? '; or name the repositories' : ''
    const message = `nothing is planned, because ${what} cannot be read: ${error.message}${fix}`
    throw new BerthError('prune-refused', message, { cause: error })
  }
}

async function planRepository(
  written: WrittenRepository,
  options: PlanPruneOptions,
): Promise<RepositoryPlan> {
  const { host, path } = written
  const { registries, needed, jobs, signal } = options
  const repository = await registries.open(host, path, 'pull')
  const limit = createLimit(jobs)
  const names = new Set((await listTags(repository, signal)) ?? [])
  const read = await Promise.all(
    [...names].map((tag) => limit(() => readTag(repository, tag, signal))),
  )
  const unread = read.filter((each): each is UnreadTag => each !== null && 'problem' in each)
  const states = read.filter((each): each is TagState => each !== null && 'digest' in each)
  const [problem] = unread
  const since = (state: TagState) => sinceOf(state, `${host}/${path}:${state.tag}`, options)
  if (problem !== undefined) {
    const why = `the repository is left alone, because ${problem.tag} cannot be read: ${problem.problem}`
    const tags = read.flatMap((each) => {
      if (each === null) return []
      const digest = 'digest' in each ? each.digest : null
      return [{ tag: each.tag, digest, since: null, action: 'keep', why } as const]
    })
    return { host, path, removals: [], holds: new Map(), tags }
  }
  const tags = await Promise.all(
    states.map(async (state) => {
      const keep = await limit(() => reasonToKeep(state, written, options))
      return { ...state, keep }
    }),
  )
  const graph = tags.some(({ keep }) => keep === null)
    ? await readGraph(repository, {
        tags,
        needed: needed
          .digestsIn(path)
          .filter((each) => !tags.some(({ digest }) => digest === each)),
        jobs,
        signal,
      })
    : { nodes: new Map(), roots: [], absent: new Set<string>() }
  const orphans = new Map<string, string>()
  for (const state of tags) {
    const subject = subjectOfTag(state.tag)
    if (subject === null || !graph.absent.has(subject) || state.keep !== null) continue
    const reason =
      reasonByImage(subject, tags, needed) ??
      (await limit(() => reasonByAge(state, written, options)))
    if (reason !== null) orphans.set(state.tag, reason)
  }
  const checked: PruneTag[] = tags.map(({ tag, digest, keep }) => ({
    tag,
    digest,
    keep: keep ?? orphans.get(tag) ?? null,
  }))
  const plan = planRemovals({
    tags: checked,
    neededBy: (digest) => needed.byDigest(digest),
    ...graph,
  })
  return {
    host,
    path,
    removals: plan.removals,
    holds: plan.holds,
    tags: states.map((state): PlannedTag => {
      const why = plan.kept.get(state.tag)
      const facts = { tag: state.tag, digest: state.digest, since: since(state) }
      return why === undefined
        ? { ...facts, action: 'remove', why: 'nothing needs it' }
        : { ...facts, action: 'keep', why }
    }),
  }
}

/** Returns why a tag stays, whatever else is in the repository; null if nothing needs it. */
async function reasonToKeep(
  state: TagState,
  written: WrittenRepository,
  options: PlanPruneOptions,
): Promise<string | null> {
  const { tag, digest } = state
  const { needed } = options
  const by = needed.byTag(written.path, tag) ?? needed.byDigest(digest)
  if (by !== null) return `${by} needs it`
  const mapped = written.writers.find(({ row }) => [...row.tags.values()].includes(tag))
  if (mapped !== undefined) return `row ${mapped.row.name} maps a tag to it`
  // A signature goes with its image.
  return subjectOfTag(tag) === null ? reasonByAge(state, written, options) : null
}

/** Returns why a signature stays whose image is not in its repository: cosign can store it in another one (COSIGN_REPOSITORY). */
function reasonByImage(
  subject: string,
  tags: readonly { readonly tag: string }[],
  needed: NeededImages,
): string | null {
  const by = needed.byDigest(subject)
  if (by !== null) return `${by} needs ${shortDigest(subject)}, which it signs`
  const isForSignatures = tags.every(({ tag }) => subjectOfTag(tag) !== null)
  return isForSignatures ? 'it may be of an image in another repository' : null
}

/** Returns why a tag that nothing needs is not removed yet; null if it can be. */
async function reasonByAge(
  state: TagState,
  { host, path, writers }: WrittenRepository,
  options: PlanPruneOptions,
): Promise<string | null> {
  const { olderThanMs, history, now, registries, signal } = options
  const name = `${host}/${path}:${state.tag}`
  const since = sinceOf(state, name, options)
  if (olderThanMs > 0 && since === null) return unknownAge
  if (since !== null && now - since < olderThanMs) return 'it is not old enough'
  if (writers.some(({ hasHost }) => hasHost)) return null
  if (history(name, state.digest)?.isCopy === true) return null
  // Others may have pushed to a repository without the host of its upstream in its name.
  const answers: string[] = []
  for (const { domain, path: sourcePath } of writers.map(({ source }) => source)) {
    try {
      const upstream = await registries.open(domain, sourcePath, 'pull')
      if (await hasManifest(upstream, state.digest, signal)) return null
      answers.push(`${domain} does not have it`)
    } catch (error) {
      if (!(error instanceof RegistryError) || signal.aborted) throw error
      answers.push(error.message)
    }
  }
  return `it may not be a copy: ${answers.join(', ')}`
}

function sinceOf(
  { digest, modifiedAt }: TagState,
  name: string,
  { history }: PlanPruneOptions,
): number | null {
  const logged = history(name, digest)
  // The manifest can be much older than the copy of this tag, for example under another tag.
  if (logged?.isExact === true) return logged.since
  const times = [modifiedAt, logged?.since ?? null].filter((each) => each !== null)
  return times.length === 0 ? null : Math.min(...times)
}
