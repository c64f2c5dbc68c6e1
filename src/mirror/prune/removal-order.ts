/**
 * Orders the removals of a repository, so that what stays because a removal failed, or because the run was stopped, is complete:
 * a manifest goes only after everything that holds it. Pure.
 */
import type { RepositoryPlan } from './plan-prune.ts'
import { type Removal, subjectOfTag } from './plan-removals.ts'

export interface RemovalOrder {
  /** Yields each removal after what holds it was removed. Signatures come last. */
  removals(): Generator<Removal, void>
  /** Records that a digest was removed. Returns the digests without a tag that nothing holds any more. */
  removed(digest: string): readonly string[]
  /** Returns the removals that were not yielded, because something that holds them was not removed. */
  left(): readonly Removal[]
}

export function createRemovalOrder({
  removals,
  holds,
}: Pick<RepositoryPlan, 'removals' | 'holds'>): RemovalOrder {
  const byDigest = new Map(removals.map((removal) => [removal.digest, removal]))
  const holders = new Map<string, number>()
  for (const each of [...holds.values()].flat()) holders.set(each, holdersOf(each) + 1)
  /** What is still there. */
  const present = new Set(removals.flatMap(({ digest, others }) => [digest, ...others]))
  const waiting = new Set(removals)
  const ready = removals.filter(({ digest }) => holdersOf(digest) === 0)
  const signatures: Removal[] = []

  function holdersOf(digest: string): number {
    return holders.get(digest) ?? 0
  }

  return {
    *removals() {
      // `removed` adds more while the loop runs.
      for (const removal of ready) {
        if (removal.tags.some((tag) => subjectOfTag(tag) !== null)) {
          signatures.push(removal)
          continue
        }
        waiting.delete(removal)
        yield removal
      }
      for (const removal of signatures) {
        if (removal.tags.some((tag) => present.has(subjectOfTag(tag) ?? ''))) continue
        waiting.delete(removal)
        yield removal
      }
    },
    removed(digest) {
      present.delete(digest)
      const free = (holds.get(digest) ?? []).filter((each) => {
        holders.set(each, holdersOf(each) - 1)
        return holdersOf(each) === 0 && present.has(each)
      })
      ready.push(...free.flatMap((each) => byDigest.get(each) ?? []))
      return free.filter((each) => !byDigest.has(each))
    },
    left: () => [...waiting],
  }
}
