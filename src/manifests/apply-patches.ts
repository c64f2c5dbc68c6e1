/** Applies the patches of pods to the text of manifests. */
import type { JsonPatch } from '../decision/pod/patch.ts'
import type { ManifestObject, Manifests } from './manifests.ts'
import { patchText } from './patch-text.ts'

export interface PatchedPod {
  readonly object: ManifestObject
  /** Its paths start at the root of the document. */
  readonly patch: JsonPatch
}

/** Returns the text with all patches that can be written, and the pods whose patch cannot be written. */
export function applyPatches<Pod extends PatchedPod>(
  manifests: Manifests,
  pods: readonly Pod[],
): { text: string; unwritten: readonly Pod[] } {
  const changed = pods.filter(({ patch }) => patch.length > 0)
  const textWith = (some: readonly Pod[]) =>
    patchText(
      manifests,
      some.map(({ object: { document }, patch }) => ({ document, patch })),
    )
  if (changed.length === 0) return { text: manifests.text, unwritten: [] }
  const text = textWith(changed)
  if (text !== null) return { text, unwritten: [] }
  // Bisects: each attempt parses the whole text again, and usually one of hundreds of pods cannot be written.
  const writable = (some: readonly Pod[]): readonly Pod[] => {
    if (textWith(some) !== null) return some
    const half = some.length >> 1
    return half === 0 ? [] : [...writable(some.slice(0, half)), ...writable(some.slice(half))]
  }
  const written = writable(changed)
  const partialText = textWith(written)
  return partialText === null
    ? { text: manifests.text, unwritten: changed }
    : { text: partialText, unwritten: changed.filter((pod) => !written.includes(pod)) }
}
