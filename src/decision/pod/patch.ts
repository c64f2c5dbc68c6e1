/**
 * The JSON Patch: single leaves of the object that was received, so that it always applies and nothing else changes.
 * A patch that does not apply would reject the pod even under `failurePolicy: Ignore`; there are no `test` operations
 * for the same reason, and no need of any, because the API server applies it to the very bytes that it sent.
 */
import jsonPatch, { type Operation } from 'fast-json-patch'
import { jsonPointer } from '../../json/json-pointer.ts'
import { annotations, type Site } from './sites.ts'
import { isObject, member } from '../../json/json.ts'

export interface PodChanges {
  readonly sites: readonly {
    readonly site: Site
    readonly image: string
    readonly pullPolicy: string | undefined
  }[]
  /** What the pod is to carry under this key: null for nothing, though it may have something there now. */
  readonly annotation: { readonly key: string; readonly value: string | null } | null
  /** Names to append; none of them is in the pod yet. */
  readonly pullSecrets: readonly string[]
}

export type JsonPatch = readonly Operation[]

/** `add` on a member that exists replaces it (RFC 6902, 4.1), so one operation serves for both. */
export function buildPatch(pod: unknown, changes: PodChanges): JsonPatch {
  const operations: Operation[] = []
  for (const { site, image, pullPolicy } of changes.sites) {
    if (image !== site.image) operations.push(add([...site.holder, site.imageKey], image))
    if (pullPolicy !== site.pullPolicy)
      operations.push(add([...site.holder, site.policyKey], pullPolicy))
  }
  if (changes.annotation !== null) operations.push(...annotate(pod, changes.annotation))
  operations.push(...appendPullSecrets(pod, changes.pullSecrets))
  return operations
}

/** The pod as the API server will see it, for showing: the object that was given stays as it is. */
export function applyPatch(pod: unknown, patch: JsonPatch): unknown {
  return jsonPatch.applyPatch(structuredClone(pod), [...patch]).newDocument
}

/** Bytes that all annotations of an object may have, keys and values (apimachinery, TotalAnnotationSizeLimitB). */
const maxAnnotationBytes = 256 * 1024

/** True if the API server would still accept the pod with this annotation in place of the one it may have. */
export function annotationFits(
  pod: unknown,
  { key, value }: { readonly key: string; readonly value: string },
): boolean {
  const others = Object.entries(annotations(pod)).filter(([name]) => name !== key)
  const total = [...others, [key, value] as const].reduce(
    (sum, [name, text]) =>
      sum + Buffer.byteLength(name) + (typeof text === 'string' ? Buffer.byteLength(text) : 0),
    0,
  )
  return total <= maxAnnotationBytes
}

function annotate(
  pod: unknown,
  { key, value }: { readonly key: string; readonly value: string | null },
): Operation[] {
  const metadata = member(pod, 'metadata')
  const present = annotations(pod)
  if (value === null) {
    return Object.hasOwn(present, key)
      ? [{ op: 'remove', path: jsonPointer(['metadata', 'annotations', key]) }]
      : []
  }
  if (!isObject(metadata)) return []
  if (!isObject(metadata['annotations']))
    return [add(['metadata', 'annotations'], { [key]: value })]
  return present[key] === value ? [] : [add(['metadata', 'annotations', key], value)]
}

function appendPullSecrets(pod: unknown, names: readonly string[]): Operation[] {
  if (names.length === 0) return []
  const list = member(member(pod, 'spec'), 'imagePullSecrets')
  if (Array.isArray(list))
    return names.map((name) => add(['spec', 'imagePullSecrets', '-'], { name }))
  return [
    add(
      ['spec', 'imagePullSecrets'],
      names.map((name) => ({ name })),
    ),
  ]
}

function add(path: readonly (string | number)[], value: unknown): Operation {
  return { op: 'add', path: jsonPointer(path), value }
}
