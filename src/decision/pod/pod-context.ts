/** Reads from a raw pod what the conditions of rows can see. */
import { isObject, member } from '../../json/json.ts'
import type { PodContext } from '../fallback/pod-context.ts'
import { readPodPlatforms } from './pod-platforms.ts'

/** Returns the context of a pod whose labels and owners are final, as in a review or a cluster. */
export function readPodContext(pod: unknown, namespace: string): PodContext {
  return {
    namespace,
    labels: readLabels(pod),
    owners: readOwners(pod),
    platforms: readPodPlatforms(pod),
  }
}

/** Returns the labels of an object; empty if it has none. The values are not validated. */
export function readLabels(object: unknown): Readonly<Record<string, unknown>> {
  const labels = member(member(object, 'metadata'), 'labels')
  return isObject(labels) ? labels : {}
}

/** Returns the kinds of the owner references of an object, as GROUP/KIND, each once. */
function readOwners(object: unknown): readonly string[] {
  const references = member(member(object, 'metadata'), 'ownerReferences')
  if (!Array.isArray(references)) return []
  const kinds = references.flatMap((reference: unknown) => {
    const apiVersion = member(reference, 'apiVersion')
    const kind = member(reference, 'kind')
    return typeof apiVersion === 'string' && typeof kind === 'string'
      ? [groupKind(apiVersion, kind)]
      : []
  })
  return kinds.length < 2 ? kinds : [...new Set(kinds)]
}

/** Returns `apps/ReplicaSet` for `apps/v1` and `ReplicaSet`, and `/Pod` for `v1` and `Pod`. */
export function groupKind(apiVersion: string, kind: string): string {
  const slash = apiVersion.indexOf('/')
  return `${slash === -1 ? '' : apiVersion.slice(0, slash)}/${kind}`
}
