/** Plans copies into image layouts and out of them. Pure. */
import { formatReference, type Reference } from '../decision/reference/reference.ts'
import type { ImagePair } from './image-pair.ts'

/** The tags of signatures and of lists of referrers, which belong to an image. */
const referrerTag = /:sha256-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?$/

/** Returns the images of a layout that are copied if the user names none. */
export function imagesToCopy(images: readonly string[]): readonly string[] {
  return images.filter((image) => !referrerTag.test(image))
}

interface IntoLayoutOptions {
  readonly layout: string
  readonly hasAllPlatforms: boolean
}

/**
 * Returns the copies of these sources into a layout, each once. An image has the name of its source there, so that the table
 * finds it when it is copied out of the layout. If only some platforms are copied, the digest of the source does not name it.
 */
export function pairsIntoLayout(
  pairs: readonly ImagePair[],
  options: IntoLayoutOptions,
): readonly ImagePair[] {
  const bySource = Map.groupBy(pairs, ({ source }) => formatReference(source))
  return [...bySource.values()].flatMap(([pair, ...others]) => {
    if (pair === undefined) return []
    const mirrors = [pair, ...others].map(({ destination }) => destination)
    return [intoLayout({ ...pair, mirrors }, options)]
  })
}

function intoLayout(pair: ImagePair, { layout, hasAllPlatforms }: IntoLayoutOptions): ImagePair {
  return {
    ...pair,
    destination: hasAllPlatforms ? pair.source : withoutDigest(pair.source),
    destinationLayout: layout,
  }
}

function withoutDigest(reference: Reference): Reference {
  return reference.tag === null ? reference : { ...reference, digest: null }
}
