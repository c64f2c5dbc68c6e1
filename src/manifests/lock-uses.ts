/** Finds the digest of each image in use, for the lock file. */
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

/** Returns the images that need an entry: those without a digest. `onProblem` receives names that do not parse. */
export function lockableUses(
  uses: readonly ImageUse[],
  onProblem: (message: string) => void,
): UsesByKey {
  const lockable = new Map<string, ImageUse>()
  for (const use of uses) {
    const parsed = parseReference(use.image)
    if (!parsed.ok) onProblem(`${use.image} is not an image name: ${parsed.message} (${use.by})`)
    else if (parsed.reference.digest === null) {
      const key = lockKey(parsed.reference)
      if (!lockable.has(key)) lockable.set(key, use)
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
