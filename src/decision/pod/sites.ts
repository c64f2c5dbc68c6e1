/**
 * Finds the image fields ("sites") of a pod. Reads the raw object: a typed model would drop the fields that it does not
 * know. Pure.
 */
import { isObject, type JsonObject, member, textMember } from '../../json/json.ts'

/** An image field of a pod. */
export interface Site {
  /** For people and for the annotation: `containers/web`, `volumes/model`. */
  readonly name: string
  /** The path of the object with the image, as unescaped JSON Pointer tokens. */
  readonly holder: readonly (string | number)[]
  /** The member with the image: `image`, or `reference` in an image volume. */
  readonly imageKey: 'image' | 'reference'
  readonly policyKey: 'imagePullPolicy' | 'pullPolicy'
  readonly image: string
  /** Undefined if the pod leaves the policy to the default of the API server. */
  readonly pullPolicy: string | undefined
}

const containerLists = ['initContainers', 'containers', 'ephemeralContainers'] as const

/** Returns the sites in the order in which the kubelet starts them. Ignores entries without an image or of a wrong type. */
export function findSites(pod: unknown): Site[] {
  return [...sitesOf(pod)]
}

/** Yields the sites that `findSites` returns, for a caller that does not need all of them at once. */
export function* sitesOf(pod: unknown): Generator<Site> {
  const spec = member(pod, 'spec')
  for (const list of containerLists) {
    const containers = listMember(spec, list)
    for (let index = 0; index < containers.length; index++) {
      const container = containers[index]
      const image = textMember(container, 'image')
      if (image === '') continue
      yield {
        name: `${list}/${nameOf(container, index)}`,
        holder: ['spec', list, index],
        imageKey: 'image',
        policyKey: 'imagePullPolicy',
        image,
        pullPolicy: policyOf(container, 'imagePullPolicy'),
      }
    }
  }
  const volumes = listMember(spec, 'volumes')
  for (let index = 0; index < volumes.length; index++) {
    const source = member(volumes[index], 'image')
    const image = textMember(source, 'reference')
    if (image === '') continue
    yield {
      name: `volumes/${nameOf(volumes[index], index)}`,
      holder: ['spec', 'volumes', index, 'image'],
      imageKey: 'reference',
      policyKey: 'pullPolicy',
      image,
      pullPolicy: policyOf(source, 'pullPolicy'),
    }
  }
}

/**
 * Yields the sites of an updated pod whose image changed. Berth leaves the others alone on UPDATE: a webhook that changes
 * running containers on a label change makes pods immutable in practice (opentelemetry-operator#1514).
 */
export function* changedSitesOf(
  pod: unknown,
  oldSites: ReadonlyMap<string, Site>,
): Generator<Site> {
  for (const site of sitesOf(pod)) if (oldSites.get(site.name)?.image !== site.image) yield site
}

/** Returns the sites of a pod by their names. */
export function sitesByName(pod: unknown): ReadonlyMap<string, Site> {
  const sites = new Map<string, Site>()
  for (const site of sitesOf(pod)) sites.set(site.name, site)
  return sites
}

/** Returns true for a mirror pod. The kubelet runs it from a file on the node, so a patch would have no effect. */
export function isMirrorPod(pod: unknown): boolean {
  return annotations(pod)['kubernetes.io/config.mirror'] !== undefined
}

/** Returns the annotations of an object; empty if it has none. */
export function annotations(object: unknown): JsonObject {
  const found = member(member(object, 'metadata'), 'annotations')
  return isObject(found) ? found : {}
}

function policyOf(holder: unknown, key: Site['policyKey']): string | undefined {
  const policy = member(holder, key)
  return typeof policy === 'string' ? policy : undefined
}

function listMember(object: unknown, key: string): readonly unknown[] {
  const list = member(object, key)
  return Array.isArray(list) ? list : []
}

function nameOf(object: unknown, index: number): string {
  const name = member(object, 'name')
  return typeof name === 'string' ? name : String(index)
}
