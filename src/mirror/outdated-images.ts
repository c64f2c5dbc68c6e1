/** Finds the images of a pod that its mirror no longer serves. Pure. */
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference, type Reference, withDefaultTag } from '../decision/reference/reference.ts'
import { findSites } from '../decision/pod/sites.ts'

/** An image that a mirror serves. */
export interface ServedImage {
  readonly image: Reference
  readonly digest: string
  /** True if it was just copied: a pod without a digest may still run the image before it. */
  readonly isNew: boolean
}

/** Returns the images in the pod's spec that a mirror has replaced, as `HOST/PATH:TAG`. */
export function outdatedImages(pod: unknown, served: readonly ServedImage[]): readonly string[] {
  const servedByName = new Map(served.map((each) => [nameOf(each.image), each]))
  return findSites(pod).flatMap(({ image }) => {
    const parsed = parseReference(image)
    if (!parsed.ok) return []
    const reference = canonicalReference(parsed.reference)
    const name = nameOf(reference)
    const current = servedByName.get(name)
    if (current === undefined) return []
    const isOutdated =
      reference.digest === null ? current.isNew : reference.digest !== current.digest
    return isOutdated ? [name] : []
  })
}

function nameOf(reference: Reference): string {
  return formatReference(withDefaultTag({ ...reference, digest: null }))
}
