/** Lists the images that belong on a mirror because pods use them. Pure. */
import type { PodContext } from '../decision/fallback/pod-context.ts'
import type { FallbackTable } from '../decision/fallback/table.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import { planCopies } from './copy-plan.ts'
import type { ImagePair } from './image-pair.ts'

/** The images of a pod, as it asked for them. */
export interface PodImages {
  readonly images: readonly string[]
  readonly pod: PodContext
}

export interface WantedImage {
  readonly pair: ImagePair
  /** The number of pods that use it. */
  readonly uses: number
}

export interface WantedImages {
  /** By the name on the mirror. */
  readonly wanted: ReadonlyMap<string, WantedImage>
  /** Images that cannot be copied, because another one has their name on the mirror. By both names. */
  readonly conflicts: ReadonlyMap<string, WantedImage>
}

/** Returns the images of all pods that belong on a mirror. If two have the same name there, the first one is returned. */
export function findWantedImages(table: FallbackTable, pods: Iterable<PodImages>): WantedImages {
  const wanted = new Map<string, WantedImage>()
  const conflicts = new Map<string, WantedImage>()
  for (const pod of pods)
    for (const pair of pairsOfPod(table, pod)) {
      const name = formatReference(pair.destination)
      const source = formatReference(pair.source)
      const first = wanted.get(name)
      const isConflict = first !== undefined && formatReference(first.pair.source) !== source
      const images = isConflict ? conflicts : wanted
      const key = isConflict ? `${source} → ${name}` : name
      const before = images.get(key)
      images.set(key, { pair: before?.pair ?? pair, uses: (before?.uses ?? 0) + 1 })
    }
  return { wanted, conflicts }
}

/** Returns the names that the images of a pod have on the mirrors. */
export function mirrorNames(table: FallbackTable, pod: PodImages): readonly string[] {
  return pairsOfPod(table, pod).map(({ destination }) => formatReference(destination))
}

/** One image after the other: a plan for all of them leaves out conflicts. */
function pairsOfPod(table: FallbackTable, { images, pod }: PodImages): readonly ImagePair[] {
  return images.flatMap((image) => {
    const parsed = parseReference(image)
    return parsed.ok ? planCopies(table, [{ reference: parsed.reference, pod }]).pairs : []
  })
}
