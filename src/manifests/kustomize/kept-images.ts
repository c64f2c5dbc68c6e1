/** Decides images that stay in their file, because a kustomization replaces them. */
import type { Decide } from '../../decision/resolve/decision-cache.ts'

/** What kustomizations do with the objects of a file. */
export interface KeptImages {
  /** The namespace that they set; null if they set none. */
  readonly namespace: string | null
  /** Returns the image that they deploy in place of one that stays in the file; null for other images. */
  readonly finalOf: (image: string) => string | null
}

/** Decides the image that is deployed in place of one that stays in the file: it needs the pull policy and pull secrets. */
export function decideFinal(decide: Decide, kept: KeptImages | null): Decide {
  if (kept === null) return decide
  return async (image, request) => {
    const final = kept.finalOf(image)
    if (final === null) return decide(image, request)
    const decision = await decide(final, request)
    return decision.ok ? { ...decision, image, why: 'a kustomization replaces it' } : decision
  }
}
