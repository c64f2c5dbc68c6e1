/** Plans copies into image layouts and out of them. Pure. */
import { formatReference, type Reference } from '../decision/reference/reference.ts'
import type { ImagePair } from './image-pair.ts'

/** The tags of signatures and of lists of referrers, which belong to an image. */
const referrerTag = /:sha256-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?$/

/** Returns the images of a layout that are copied if the user names none. */
export function imagesToCopy(images: readonly string[]): readonly string[] {
  return images.filter((image) => !referrerTag.test(image))
}

/**
 * Returns the copies of these sources into a layout, each once. An image has the name of its source there, so that the table
 * finds it when it is copied out of the layout. If only some platforms are copied, the digest of the source does not name it.
 */
export function pairsIntoLayout(
  pairs: readonly ImagePair[],
  { layout, hasAllPlatforms }: { readonly layout: string; readonly hasAllPlatforms: boolean },
): readonly ImagePair[] {
  const bySource = new Map(pairs.map((pair) => [formatReference(pair.source), pair]))
  return [...bySource.values()].map((pair) => ({
    ...pair,
    destination: hasAllPlatforms ? pair.source : withoutDigest(pair.source),
    destinationLayout: layout,
  }))
}

function withoutDigest(reference: Reference): Reference {
  return reference.tag === null ? reference : { ...reference, digest: null }
}
