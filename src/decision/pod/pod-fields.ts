/** Reduces a pod to the fields that decisions read, so that the memory of the rest can be released. */
import { isObject, type JsonObject, member } from '../../json/json.ts'
import { platformLabels, requiredAffinityKey } from './pod-platforms.ts'

const lists: Readonly<Record<string, (entry: unknown) => JsonObject | null>> = {
  initContainers: containerFields,
  containers: containerFields,
  ephemeralContainers: containerFields,
  volumes: volumeFields,
}

/**
 * Returns a pod for which every function of this folder returns the same as for the given one: entries of lists keep their
 * positions, and values of a wrong type stay wrong.
 */
export function podFields(pod: unknown): unknown {
  if (!isObject(pod)) return pod
  const spec = member(pod, 'spec')
  return {
    ...pick(pod, 'metadata', (metadata) =>
      isObject(metadata) ? metadataFields(metadata) : metadata,
    ),
    ...pick(pod, 'spec', () => (isObject(spec) ? specFields(spec) : spec)),
  }
}

function metadataFields(metadata: JsonObject): JsonObject {
  return {
    ...pickAll(metadata, ['name', 'generateName', 'annotations', 'labels']),
    ...pick(metadata, 'ownerReferences', (owners) =>
      Array.isArray(owners) ? owners.map(ownerFields) : owners,
    ),
  }
}

function ownerFields(owner: unknown): JsonObject | null {
  return isObject(owner)
    ? pickAll(owner, ['apiVersion', 'kind', 'name', 'uid', 'controller'])
    : null
}

function specFields(spec: JsonObject): JsonObject {
  const fields = pickAll(spec, ['imagePullSecrets', 'serviceAccountName', 'os'])
  const shortened = Object.entries(lists).map(([name, shorten]) =>
    pick(spec, name, (list) => (Array.isArray(list) ? list.map(shorten) : list)),
  )
  const selector = pick(spec, 'nodeSelector', (labels) =>
    isObject(labels) ? pickAll(labels, platformLabels) : labels,
  )
  const affinity = pick(spec, 'affinity', (given) =>
    isObject(given) ? pick(given, 'nodeAffinity', requiredAffinity) : given,
  )
  return Object.assign(fields, selector, affinity, ...shortened) as JsonObject
}

function requiredAffinity(affinity: unknown): unknown {
  return isObject(affinity) ? pickAll(affinity, [requiredAffinityKey]) : affinity
}

function containerFields(container: unknown): JsonObject | null {
  return isObject(container) ? pickAll(container, ['name', 'image', 'imagePullPolicy']) : null
}

function volumeFields(volume: unknown): JsonObject | null {
  if (!isObject(volume)) return null
  return {
    ...pickAll(volume, ['name']),
    ...pick(volume, 'image', (image) =>
      isObject(image) ? pickAll(image, ['reference', 'pullPolicy']) : null,
    ),
  }
}

/** Loops: a pod may have tens of thousands of containers, and no other request is answered meanwhile. */
function pickAll(object: JsonObject, names: readonly string[]): JsonObject {
  const picked: Record<string, unknown> = {}
  for (const name of names) if (Object.hasOwn(object, name)) picked[name] = object[name]
  return picked
}

/** Returns an object with the mapped member, or an empty one if there is no such member. */
function pick(object: JsonObject, name: string, map: (value: unknown) => unknown): JsonObject {
  return Object.hasOwn(object, name) ? { [name]: map(object[name]) } : {}
}
