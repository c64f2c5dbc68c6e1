/** Prints the plan and the results of `berth mirror --prune`. */
import type { PrunePlan, RepositoryPlan } from '../../mirror/prune/plan-prune.ts'
import type { RemovalResult } from '../../mirror/prune/run-prune.ts'
import { shortDigest } from '../../registry/digest.ts'
import type { Painter } from './colour.ts'
import { formatTable } from './columns.ts'

const dayMs = 24 * 60 * 60 * 1_000

/** Returns a table of the tags; with `isQuiet`, only of those to remove. */
export function pruneTable(
  { repositories }: PrunePlan,
  {
    now,
    isQuiet,
    paint,
  }: { readonly now: number; readonly isQuiet: boolean; readonly paint: Painter },
): string {
  const rows = repositories.flatMap((plan) =>
    plan.tags
      .filter(({ action }) => !isQuiet || action === 'remove')
      .map(({ tag, digest, since, action, why }) => [
        action === 'remove' ? ({ text: action, style: 'red' } as const) : action,
        `${plan.host}/${plan.path}`,
        tag,
        digest === null ? '' : shortDigest(digest),
        since === null ? '' : ageText(now - since),
        action === 'remove' ? why + othersText(plan, digest) : why,
      ]),
  )
  return formatTable(['action', 'repository', 'tag', 'digest', 'age', 'reason'], rows, paint)
}

function othersText({ removals }: RepositoryPlan, digest: string | null): string {
  const count = removals.find((each) => each.digest === digest)?.others.length ?? 0
  return count === 0 ? '' : `; with ${count} manifest${count === 1 ? '' : 's'} that only it holds`
}

function ageText(milliseconds: number): string {
  const hours = Math.max(0, Math.floor(milliseconds / (dayMs / 24)))
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`
}

/** Returns for example `3 tags to remove, 12 to keep, in 2 repositories; no row writes to 4 others`. */
export function summarizePrune({ repositories, others }: PrunePlan): string {
  const tags = repositories.flatMap((each) => each.tags)
  const removed = tags.filter(({ action }) => action === 'remove').length
  const rest = others === 0 ? '' : `; no row writes to ${others} others, which are left alone`
  return `${removed} tags to remove, ${tags.length - removed} to keep, in ${repositories.length} repositories${rest}`
}

/** Returns one line about a removal. */
export function describeRemoval({ host, path, removal, status, problem }: RemovalResult): string {
  const name = `${host}/${path}:${removal.tags.join(',')} (${shortDigest(removal.digest)})`
  return problem === null ? `${status}  ${name}` : `${status}  ${name}: ${problem}`
}

/** The plan, and the results of a run, for `-o json`. The names are a contract. */
export function pruneRecord(
  { repositories, others }: PrunePlan,
  clusters: readonly string[],
  results: readonly RemovalResult[],
): unknown {
  const statuses = new Map(
    results.map(({ host, path, removal, status, problem }) => [
      `${host}/${path}@${removal.digest}`,
      { status, problem },
    ]),
  )
  const tags = repositories.flatMap(({ host, path, tags: all, removals }) =>
    all.map(({ tag, digest, since, action, why }) => ({
      repository: `${host}/${path}`,
      tag,
      digest,
      since: since === null ? null : new Date(since).toISOString(),
      action,
      why,
      others:
        action === 'remove' ? (removals.find((each) => each.digest === digest)?.others ?? []) : [],
      status: 'planned',
      problem: null,
      ...(action === 'remove' ? statuses.get(`${host}/${path}@${digest}`) : { status: 'kept' }),
    })),
  )
  const removed = tags.filter(({ action }) => action === 'remove').length
  return {
    clusters,
    tags,
    summary: {
      repositories: repositories.length,
      otherRepositories: others,
      remove: removed,
      keep: tags.length - removed,
    },
  }
}
