/**
 * Builds the JSON Patch for a pod. It changes single values of the received object, so that it always applies: a patch
 * that does not apply rejects the pod even with `failurePolicy: Ignore`. Needs no `test` operations, because the API server
 * applies it to the object that it sent (docs/adr/0001).
 */
import jsonPatch, { type Operation } from 'fast-json-patch'
import { jsonPointer } from '../../json/json-pointer.ts'
import { isObject, member } from '../../json/json.ts'
import { maxAnnotationBytes } from './images-annotation.ts'
import { annotations, type Site } from './sites.ts'

export interface PodChanges {
  readonly sites: readonly {
    readonly site: Site
    readonly image: string
    readonly pullPolicy: string | undefined
  }[]
  /** The annotation to set, or to remove if its value is null. Null: do not touch it. */
  readonly annotation: { readonly key: string; readonly value: string | null } | null
  /** Names of pull secrets to append. The pod must not list them yet. */
  readonly pullSecrets: readonly string[]
}

export type JsonPatch = readonly Operation[]

/** Returns the patch. It uses `add` also for members that exist, which replaces them (RFC 6902, 4.1). */
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

/** Returns a copy of the pod with the patch applied, as the API server does it. */
export function applyPatch(pod: unknown, patch: JsonPatch): unknown {
  return jsonPatch.applyPatch(structuredClone(pod), [...patch]).newDocument
}

/** Returns the bytes that the API server leaves for the value of an annotation, next to the others of the pod. */
export function roomForAnnotation(pod: unknown, key: string): number {
  const others = Object.entries(annotations(pod)).filter(([name]) => name !== key)
  return others.reduce(
    (room, [name, text]) =>
      room - Buffer.byteLength(name) - (typeof text === 'string' ? Buffer.byteLength(text) : 0),
    maxAnnotationBytes - Buffer.byteLength(key),
  )
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
  const entries = names.map((name) => ({ name }))
  return Array.isArray(list)
    ? entries.map((entry) => add(['spec', 'imagePullSecrets', '-'], entry))
    : [add(['spec', 'imagePullSecrets'], entries)]
}

function add(path: readonly (string | number)[], value: unknown): Operation {
  return { op: 'add', path: jsonPointer(path), value }
}
