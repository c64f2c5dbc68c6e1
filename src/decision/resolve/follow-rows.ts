/**
 * Follows a table of several steps: where the image that a row chooses is an image of another row, that row decides too.
 * So an image and what it becomes get the same answer, whether a pod or a rewritten manifest names it.
 */
import { canonicalReference } from '../fallback/registry-aliases.ts'
import { formatReference, type Reference } from '../reference/reference.ts'
import { failedSteps } from './describe-resolution.ts'
import { isDenied, isLeft, type Resolution } from './resolution.ts'
import { planCandidates, type ResolvePolicy, type ResolveRequest } from './resolve-policy.ts'
import type { ResolutionStep } from './step.ts'

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
      const { undecided, isSettled } = lookAhead(policy, resolution, next)
      if (!isSettled) return next
      resolution = { ...resolution, undecidedRows: union(resolution.undecidedRows, undecided) }
      return null
    },
    add: (next) => {
      const isFurther = isDenied(next) || (next.changed && !visited.has(nameOf(next.chosen)))
      resolution = isFurther ? combine(resolution, next) : keep(resolution, next)
      isOver = !isFurther
    },
    result: () => resolution,
  }
}

/** Returns whether the row of the chosen image keeps it, as far as is known without asking a registry again. */
function lookAhead(
  policy: ResolvePolicy,
  { reason }: Resolution,
  request: ResolveRequest,
): { readonly isSettled: boolean; readonly undecided: readonly string[] } {
  const { row, undecided, candidates } = planCandidates(policy, request)
  const isFirst = candidates[0]?.kind === 'original' && (reason === 'found' || reason === 'trusted')
  return { isSettled: row === null || row.leave || isFirst, undecided }
}

/** The image itself, pinned or not, was decided by its row. */
function canFollow(resolution: Resolution): boolean {
  const { changed, kind } = resolution
  return changed && kind !== 'original' && !isDenied(resolution) && !isLeft(resolution)
}

function nameOf(reference: Reference): string {
  return formatReference({ ...canonicalReference(reference), digest: null })
}

/** The image of the rows before stays. The failed steps of the next row say why, unless the rows before had the same. */
function keep(before: Resolution, last: Resolution): Resolution {
  const resolution = withTimes(before, last)
  const names = new Set(before.steps.map(nameOfStep))
  const isNew = failedSteps(last).some((step) => !names.has(nameOfStep(step)))
  if (!isNew) return resolution
  const steps = [...before.steps, ...last.steps]
  return { ...resolution, steps, followed: { before, last, isTaken: false } }
}

function nameOfStep({ candidate: { reference, image } }: ResolutionStep): string {
  return reference === null ? image : nameOf(reference)
}

/** The answer has to be asked again when that of one of the rows expires. */
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
    followed: { before, last: next, isTaken: true },
  }
}

function union(one: readonly string[], other: readonly string[]): readonly string[] {
  return other.length === 0 ? one : [...new Set([...one, ...other])]
}
