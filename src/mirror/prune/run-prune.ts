/** Removes what a plan of `berth mirror --prune` names. */
import { createLimit } from '../../async/limit.ts'
import { deleteManifest, DeletionForbiddenError } from '../../registry/manifests/delete-manifest.ts'
import { RegistryError } from '../../registry/http/registry-error.ts'
import { listTags } from '../../registry/manifests/tags.ts'
import type { RegistryClient, Repository } from '../../registry/registry-client.ts'
import type { PrunePlan, RepositoryPlan } from './plan-prune.ts'
import type { Removal } from './plan-removals.ts'
import { createRemovalOrder, type RemovalOrder } from './removal-order.ts'
import { readTag, type TagState, type UnreadTag } from './read-repository.ts'

export interface RemovalResult {
  readonly host: string
  readonly path: string
  readonly removal: Removal
  /** `changed`: a tag of the digest has changed since the plan, so that nothing was removed. */
  readonly status: 'removed' | 'changed' | 'failed'
  readonly problem: string | null
}

export interface RunPruneOptions {
  readonly registries: RegistryClient
  readonly signal: AbortSignal
  readonly onResult: (result: RemovalResult) => void
}

/** A stopped run completes the removal in progress, so that no part of an image is left behind. This is the limit for its requests. */
const removalTimeoutMs = 120_000

/** Requests at the same time that read the tags again. */
const parallelReads = 4

/** Removes one digest after the other. If the signal aborts, it stops between two of them. Reports errors of registries as results. */
export async function runPrune(
  { repositories }: PrunePlan,
  { registries, signal, onResult }: RunPruneOptions,
): Promise<void> {
  const refusing = new Set<string>()
  for (const plan of repositories) {
    if (plan.removals.length === 0 || refusing.has(plan.host)) continue
    for await (const result of removeFrom(plan, registries, signal)) {
      onResult(result)
      if (result.isForbidden) refusing.add(plan.host)
    }
  }
}

async function* removeFrom(
  plan: RepositoryPlan,
  registries: RegistryClient,
  signal: AbortSignal,
): AsyncGenerator<RemovalResult & { readonly isForbidden: boolean }, void> {
  const { host, path } = plan
  let repository: Repository | null = null
  let isChecked = false
  let change: string | null = null
  const order = createRemovalOrder(plan)
  for (const removal of order.removals()) {
    if (signal.aborted) return
    const result = { host, path, removal, isForbidden: false }
    try {
      const removalSignal = AbortSignal.timeout(removalTimeoutMs)
      repository ??= await registries.open(host, path, 'pull,delete')
      if (!isChecked) change = await findChange(repository, plan, signal)
      isChecked = true
      const problem =
        change ?? (await remove(repository, removal, { order, signal: removalSignal }))
      yield { ...result, status: problem === null ? 'removed' : 'changed', problem }
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof RegistryError) && !isTimeout(error)) throw error
      const isForbidden = error instanceof DeletionForbiddenError
      yield { ...result, status: 'failed', problem: messageOf(error), isForbidden }
      if (isForbidden) return
    }
  }
  for (const removal of order.left()) {
    const status = change === null ? 'failed' : 'changed'
    const problem = change ?? 'it stays, because an image that needs it was not removed'
    yield { host, path, removal, status, problem, isForbidden: false }
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')
}

function messageOf(error: unknown): string {
  return error instanceof RegistryError ? error.message : 'the registry did not answer in time'
}

/**
 * Returns a change of the repository since the plan: a tag that is new or has another digest may need what the plan removes. Null
 * if there is none. A tag that is gone needs nothing.
 */
async function findChange(
  repository: Repository,
  { tags }: RepositoryPlan,
  signal: AbortSignal,
): Promise<string | null> {
  const planned = new Map(tags.map(({ tag, digest }) => [tag, digest]))
  const names = (await listTags(repository, signal)) ?? []
  const limit = createLimit(parallelReads)
  // A tag that is listed but does not exist needs nothing: docker-registry can list tags of manifests that are gone.
  const states = (
    await Promise.all(names.map((tag) => limit(() => readTag(repository, tag, signal))))
  ).filter((each) => each !== null)
  const added = states.find(({ tag }) => !planned.has(tag))
  if (added !== undefined) return `the tag ${added.tag} is new since the plan`
  const moved = states.find((each) => digestOf(each) !== planned.get(each.tag))
  return moved === undefined ? null : hasMoved(moved.tag)
}

function hasMoved(tag: string): string {
  return `the tag ${tag} has changed since the plan`
}

function digestOf(state: TagState | UnreadTag): string | null {
  return 'digest' in state ? state.digest : null
}

/**
 * Removes the digest, then what nothing else holds any more: a pull in between finds the whole image, or no tag. Returns null, or why nothing
 * was removed.
 */
async function remove(
  repository: Repository,
  { digest, tags }: Removal,
  { order, signal }: { readonly order: RemovalOrder; readonly signal: AbortSignal },
): Promise<string | null> {
  for (const tag of tags) {
    // A tag that is gone was removed by an earlier run, or by someone else.
    const now = await readTag(repository, tag, signal)
    if (now !== null && digestOf(now) !== digest) return hasMoved(tag)
  }
  const open = [digest]
  for (let each = open.pop(); each !== undefined; each = open.pop()) {
    await deleteManifest(repository, each, signal)
    open.push(...order.removed(each))
  }
  return null
}
