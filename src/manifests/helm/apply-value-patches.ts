/** Applies patches to manifests, also to Helm values that are a text in them. */
import { jsonPointer } from '../../json/json-pointer.ts'
import { applyPatches, type PatchedPod } from '../apply-patches.ts'
import type { Manifests } from '../manifests.ts'
import type { ValueLocation } from './locate-values.ts'

interface PatchedLocation extends PatchedPod {
  /** The patch starts at the root of the values, if they are a text. */
  readonly location: object
}

/** Returns the text with all patches that can be written, and the pods whose patch cannot be written. */
export function applyValuePatches<Pod extends PatchedLocation>(
  manifests: Manifests,
  pods: readonly Pod[],
): { text: string; unwritten: readonly Pod[] } {
  const changed = pods.filter(({ patch }) => patch.length > 0)
  const texts = Map.groupBy(changed, textOf)
  const unwritten: Pod[] = []
  const units: (PatchedPod & { readonly pods: readonly Pod[] })[] = []
  for (const [text, inText] of texts) {
    if (text === null) units.push(...inText.map((pod) => ({ ...pod, pods: [pod] })))
    else units.push(...textUnit(text, inText, unwritten))
  }
  const result = applyPatches(manifests, units)
  return {
    text: result.text,
    unwritten: [...unwritten, ...result.unwritten.flatMap((unit) => unit.pods)],
  }
}

function textOf({ location }: PatchedLocation): Manifests | null {
  return 'values' in location ? (location as ValueLocation).values.text : null
}

/** Returns the patch that replaces the text of the values. Adds the pods that cannot be written in the text to `unwritten`. */
function textUnit<Pod extends PatchedLocation>(
  text: Manifests,
  pods: readonly Pod[],
  unwritten: Pod[],
): (PatchedPod & { readonly pods: readonly Pod[] })[] {
  const [first] = pods
  const [inner] = text.objects
  if (first === undefined || inner === undefined) return []
  const { place } = (first.location as ValueLocation).values
  const written = applyPatches(
    text,
    pods.map((pod) => ({ object: inner, patch: pod.patch, pod })),
  )
  const failed = new Set(written.unwritten.map(({ pod }) => pod))
  unwritten.push(...failed)
  const path = jsonPointer([...first.object.path, ...place.path])
  return [
    {
      object: first.object,
      patch: [{ op: 'replace', path, value: written.text }],
      pods: pods.filter((pod) => !failed.has(pod)),
    },
  ]
}
