/**
 * Every place in a pod where an image reference stands. Reads the raw object as it came: a pod never passes through a
 * typed model here, because what such a model does not know it drops. Pure; imports `reference` at the most.
 */
import { isObject, type JsonObject, member } from '../../json/json.ts'

/** A place in a pod where an image reference stands. */
export interface Site {
  /** For people and for the annotation: `containers/web`, `volumes/model`. */
  readonly name: string
  /** Path of the object that holds the image, as JSON Pointer tokens not yet escaped. */
  readonly holder: readonly (string | number)[]
  /** The member that holds the reference: `image`, or `reference` in an image volume. */
  readonly imageKey: 'image' | 'reference'
  readonly policyKey: 'imagePullPolicy' | 'pullPolicy'
  readonly image: string
  /** Undefined where the pod leaves it to the API server's default. */
  readonly pullPolicy: string | undefined
}

const containerLists = ['initContainers', 'containers', 'ephemeralContainers'] as const

/** Sites in the order in which the kubelet starts them. Entries without an image, or of a wrong type, are passed over. */
export function findSites(pod: unknown): Site[] {
  const spec = member(pod, 'spec')
  const containers = containerLists.flatMap((list) =>
    entries(member(spec, list)).map(([holder, index]) =>
      siteOf(holder, {
        name: `${list}/${nameOf(holder, index)}`,
        holder: ['spec', list, index],
        imageKey: 'image',
        policyKey: 'imagePullPolicy',
      }),
    ),
  )
  const volumes = entries(member(spec, 'volumes')).map(([volume, index]) =>
    siteOf(member(volume, 'image'), {
      name: `volumes/${nameOf(volume, index)}`,
      holder: ['spec', 'volumes', index, 'image'],
      imageKey: 'reference',
      policyKey: 'pullPolicy',
    }),
  )
  return [...containers, ...volumes].filter((site) => site !== null)
}

/**
 * Sites of an updated pod whose image is not what it was. On UPDATE nothing else is looked at: a running container is
 * not touched because of a label (opentelemetry-operator#1514 did that, and pods could not be changed any more).
 */
export function changedSites(pod: unknown, old: unknown): Site[] {
  const before = new Map(findSites(old).map(({ name, image }) => [name, image]))
  return findSites(pod).filter(({ name, image }) => before.get(name) !== image)
}

/** A static pod that the kubelet shows in the API: its manifest is a file on a node, and changing the mirror changes nothing. */
export function isMirrorPod(pod: unknown): boolean {
  return annotations(pod)['kubernetes.io/config.mirror'] !== undefined
}

export function annotations(pod: unknown): JsonObject {
  const found = member(member(pod, 'metadata'), 'annotations')
  return isObject(found) ? found : {}
}

function siteOf(holder: unknown, place: Omit<Site, 'image' | 'pullPolicy'>): Site | null {
  const image = member(holder, place.imageKey)
  if (typeof image !== 'string' || image === '') return null
  const policy = member(holder, place.policyKey)
  return { ...place, image, pullPolicy: typeof policy === 'string' ? policy : undefined }
}

function entries(list: unknown): [unknown, number][] {
  return Array.isArray(list) ? list.map((entry: unknown, index) => [entry, index]) : []
}

function nameOf(holder: unknown, index: number): string {
  const name = member(holder, 'name')
  return typeof name === 'string' ? name : String(index)
}
