/**
 * Follows a table of several steps: where the image that a row chooses is an image of another row, that row decides too.
 * So an image and what it becomes get the same answer, whether a pod or a rewritten manifest names it.
 */
import { canonicalReference } from '../fallback/registry-aliases.ts'
import { formatReference, type Reference } from '../reference/reference.ts'
import { isDenied, isLeft, type Resolution } from './resolution.ts'
import { planCandidates, type ResolvePolicy, type ResolveRequest } from './resolve-policy.ts'

/** A mirrored image needs one round, and an alternate that is mirrored two. More rounds mean a loop in the table. */
export const maxRounds = 4

/** Follows the rows with a function that resolves one image by one row, without waiting. */
export function followRows<Request extends ResolveRequest>(
  policy: ResolvePolicy,
  request: Request,
  resolveOnce: (request: Request) => Resolution,
): Resolution {
  const rounds = startRounds(policy, request, resolveOnce(request))
  for (let next = rounds.next(); next !== null; next = rounds.next()) rounds.add(resolveOnce(next))
  return rounds.result()
}

/** The same for a function that asks registries. */
export async function followRowsAsync<Request extends ResolveRequest>(
  policy: ResolvePolicy,
  request: Request,
  resolveOnce: (request: Request) => Promise<Resolution>,
): Promise<Resolution> {
  const rounds = startRounds(policy, request, await resolveOnce(request))
  for (let next = rounds.next(); next !== null; next = rounds.next())
    rounds.add(await resolveOnce(next))
  return rounds.result()
}

interface Rounds<Request> {
  /** Returns the request of the next round; null if the last one was the last. */
  readonly next: () => Request | null
  readonly add: (resolution: Resolution) => void
  readonly result: () => Resolution
}

function startRounds<Request extends ResolveRequest>(
  policy: ResolvePolicy,
  request: Request,
  first: Resolution,
): Rounds<Request> {
  let resolution = first
  let isOver = false
  const visited = new Set([nameOf(request.reference)])
  return {
    next: () => {
      const { chosen } = resolution
      if (isOver || visited.size >= maxRounds || !canFollow(resolution)) return null
      if (visited.has(nameOf(chosen))) return null
      visited.add(nameOf(chosen))
      // A digest that pods claim is part of the image by now, or no candidate serves it.
      const { claimedDigest: _, ...rest } = request
      const next = { ...(rest as Request), reference: chosen }
      return isSettled(policy, resolution, next) ? null : next
    },
    add: (next) => {
      const isFurther = isDenied(next) || (next.changed && !visited.has(nameOf(next.chosen)))
      resolution = isFurther ? combine(resolution, next) : withTimes(resolution, next)
      isOver = !isFurther
    },
    result: () => resolution,
  }
}

/** Returns true if the row of the chosen image keeps it, as far as is known without asking a registry again. */
function isSettled(
  policy: ResolvePolicy,
  { reason }: Resolution,
  request: ResolveRequest,
): boolean {
  const { row, candidates } = planCandidates(policy, request)
  if (row === null || row.leave) return true
  return candidates[0]?.kind === 'original' && (reason === 'found' || reason === 'trusted')
}

/** The image itself, pinned or not, was decided by its row. */
function canFollow(resolution: Resolution): boolean {
  const { changed, kind } = resolution
  return changed && kind !== 'original' && !isDenied(resolution) && !isLeft(resolution)
}

function nameOf(reference: Reference): string {
  return formatReference({ ...canonicalReference(reference), digest: null })
}

/** The next row keeps the image. Its answer has to be asked again when it expires, as that of the row before. */
function withTimes(before: Resolution, next: Resolution): Resolution {
  return {
    ...before,
    undecidedRows: union(before.undecidedRows, next.undecidedRows),
    freshUntil: Math.min(before.freshUntil, next.freshUntil),
  }
}

function combine(before: Resolution, next: Resolution): Resolution {
  const pinned = before.pinned || next.pinned
  return {
    ...withTimes(before, next),
    // Messages about a denial name the row that denies.
    row: isDenied(next) ? next.row : before.row,
    steps: [...before.steps, ...next.steps],
    chosen: next.chosen,
    kind: before.kind === 'alternate' ? 'alternate' : next.kind,
    pinned,
    mayFollowRevision: before.mayFollowRevision || next.mayFollowRevision,
    unpinned: next.chosen.digest === null ? (next.unpinned ?? before.unpinned) : null,
    reason: next.reason,
    followed: { before, last: next },
  }
}

function union(one: readonly string[], other: readonly string[]): readonly string[] {
  return other.length === 0 ? one : [...new Set([...one, ...other])]
}
