/** Finds the digest of each image in use, for the lock file. */
import { unknownParts } from '../decision/fallback/pod-condition.ts'
import { type FallbackTable, selectRow } from '../decision/fallback/table.ts'
import { type ImageLock, type LockedImage, lockKey } from '../decision/lock/image-lock.ts'
import { parseReference } from '../decision/reference/parse.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import type { ImageUse } from './image-uses.ts'

/** One use of each image, by its name in the lock file. */
export type UsesByKey = ReadonlyMap<string, ImageUse>

/** An image's entry in the lock file, or why it has none. */
export interface LockLookup {
  readonly key: string
  readonly use: ImageUse
  readonly entry: LockedImage | null
  /** Empty if there is an entry. */
  readonly why: string
}

/**
 * Returns the images that need an entry: those without a digest, in a pod for which no row leaves them unchanged.
 * `onProblem` receives names that do not parse, and images that a row may leave unchanged.
 */
export function lockableUses(
  uses: readonly ImageUse[],
  table: FallbackTable,
  onProblem: (message: string) => void,
): UsesByKey {
  const lockable = new Map<string, ImageUse>()
  for (const use of uses) {
    const parsed = parseReference(use.image)
    if (!parsed.ok) onProblem(`${use.image} is not an image name: ${parsed.message} (${use.by})`)
    else if (parsed.reference.digest === null) {
      const key = lockKey(parsed.reference)
      const { row, undecided } = selectRow(table, parsed.reference, use.pod)
      if (row?.leave === true || lockable.has(key)) continue
      lockable.set(key, use)
      for (const { name, when } of undecided.filter(({ leave }) => leave)) {
        const unknown = unknownParts(when, use.pod).join(', ')
        onProblem(
          `${key} is locked, but row ${name} may leave it unchanged: not known of the pod: ${unknown} (${use.by})`,
        )
      }
    }
  }
  return lockable
}

export interface LockSources {
  readonly decide: Decide
  /** Entries that are kept without asking. */
  readonly kept: ImageLock
  /** The file as it is: an entry whose digest is still the same keeps its date. */
  readonly before: ImageLock
}

/** Returns the entry of each image, with the digest that its registry serves now unless the entry is kept. */
export async function lookUpDigests(
  uses: UsesByKey,
  { decide, kept, before }: LockSources,
): Promise<LockLookup[]> {
  return Promise.all(
    [...uses].map(async ([key, use]): Promise<LockLookup> => {
      const entry = kept.get(key)
      return entry === undefined
        ? lookUpDigest(decide, key, use, before.get(key))
        : { key, use, entry, why: '' }
    }),
  )
}

async function lookUpDigest(
  decide: Decide,
  key: string,
  use: ImageUse,
  before: LockedImage | undefined,
): Promise<LockLookup> {
  const { signal } = new AbortController()
  const decision = await decide(key, { pod: use.pod, signal: () => signal })
  const chosen = decision.ok ? decision.resolution.chosen : null
  if (chosen === null || chosen.digest === null)
    return { key, use, entry: null, why: decision.ok ? decision.why : decision.error }
  const { digest, domain: from } = chosen
  const isSame = before?.digest === digest && before.from === from
  const date = new Date().toISOString().slice(0, 'YYYY-MM-DD'.length)
  return { key, use, entry: isSame ? before : { image: key, digest, from, date }, why: '' }
}
