/** Finds the pods and images in a Kubernetes object, and their paths. */
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { groupKind, readLabels, readPodContext } from '../decision/pod/pod-context.ts'
import { readPodPlatforms } from '../decision/pod/pod-platforms.ts'
import { type PodPath, podPath } from '../decision/pod/pod-path.ts'
import { isObject, member } from '../json/json.ts'
import type { DocumentPath } from './manifests.ts'

/** A kind with pods or images, in addition to the built-in ones. */
export interface WorkloadKind {
  /** `group/Kind`. */
  readonly kind: string
  /** Paths of what has the `metadata` and `spec` of a pod; `[]` means each item of a list, and `*` each member of a map. */
  readonly pods: readonly PodPath[]
  /** Paths of images outside a pod. */
  readonly images: readonly PodPath[]
}

/** A pod in an object; or a single image, wrapped in a pod so that it is decided in the same way. */
export interface PodLocation {
  /** Null when the object has no namespace. */
  readonly namespace: string | null
  /** False for a single image. */
  readonly isPod: boolean
  readonly pod: unknown
  /** What rows can see of the pods that the object makes. The namespace is null if the object has none. */
  readonly context: PodContext
  /** From the object to the pod or image. */
  readonly path: DocumentPath
  /** Converts a JSON Pointer into `pod` to one that starts at `path`. */
  pointerFromPath(pointer: string): string
  /** Returns the name of an image field for messages. */
  siteName(name: string): string
}

const otherKinds = new WeakMap<readonly WorkloadKind[], readonly string[]>()

/** Returns the kinds with images in paths that do not contain the word `image`. `skip-documents.ts` must not skip their objects. */
export function otherImageKinds(kinds: readonly WorkloadKind[]): readonly string[] {
  const known = otherKinds.get(kinds)
  if (known !== undefined) return known
  const found = kinds
    .filter(({ images }) => images.some((path) => !/image/i.test(path.join('.'))))
    .map(({ kind }) => kind.slice(kind.indexOf('/') + 1))
  otherKinds.set(kinds, found)
  return found
}

/** Returns each pod and each single image of an object; none for an unknown kind. */
export function podLocationsIn(object: unknown, kinds: readonly WorkloadKind[]): PodLocation[] {
  const namespace = textOf(member(member(object, 'metadata'), 'namespace'))
  const kind = kindOf(object)
  const named = kinds.filter((each) => each.kind === kind)
  const builtIn = podPath(object)
  const podPaths = [...(builtIn === null ? [] : [builtIn]), ...named.flatMap(({ pods }) => pods)]
  const pods = distinctPlaces(podPaths.flatMap((path) => placesAt(object, path)))
    .filter(({ value }) => isObject(value))
    .map(({ path, value: pod }): PodLocation => {
      return {
        namespace,
        isPod: true,
        pod,
        context: contextOf(object, pod, namespace),
        path,
        pointerFromPath: (pointer) => pointer,
        siteName: (name) => name,
      }
    })
  const images = distinctPlaces(
    named.flatMap((each) => each.images).flatMap((path) => placesAt(object, path)),
  )
    .filter(({ path }) => !pods.some((pod) => pod.path.every((key, index) => key === path[index])))
    .flatMap(({ path, value }) =>
      typeof value === 'string' && value !== '' ? [imageLocation(namespace, path, value)] : [],
    )
  return [...pods, ...images]
}

function imageLocation(namespace: string | null, path: DocumentPath, image: string): PodLocation {
  const name = path.join('.')
  return {
    namespace,
    isPod: false,
    pod: { spec: { containers: [{ name, image }] } },
    context: { namespace, labels: null, owners: null },
    path,
    pointerFromPath: () => '',
    siteName: () => name,
  }
}

/**
 * Which kind owns the pods of a built-in kind: a controller only makes itself the owner of what it creates
 * (kubernetes, pkg/controller).
 */
const podOwners: Readonly<Record<string, string>> = {
  '/ReplicationController': '/ReplicationController',
  'apps/Deployment': 'apps/ReplicaSet',
  'apps/ReplicaSet': 'apps/ReplicaSet',
  'apps/StatefulSet': 'apps/StatefulSet',
  'apps/DaemonSet': 'apps/DaemonSet',
  'batch/Job': 'batch/Job',
  'batch/CronJob': 'batch/Job',
}

function contextOf(object: unknown, pod: unknown, namespace: string | null): PodContext {
  const kind = kindOf(object)
  if (kind === '/Pod') return { ...readPodContext(pod, ''), namespace }
  const owner = Object.hasOwn(podOwners, kind) ? podOwners[kind] : undefined
  return {
    namespace,
    labels: readLabels(pod),
    owners: owner === undefined ? null : [owner],
    platforms: readPodPlatforms(pod),
  }
}

/** Returns an object's kind and name for messages: `apps/Deployment web`. */
export function objectTitle(object: unknown): string {
  const name =
    textOf(member(member(object, 'metadata'), 'name')) ??
    textOf(member(member(object, 'metadata'), 'generateName'))
  return [kindOf(object).replace(/^\//, ''), ...(name === null ? [] : [name])].join(' ')
}

/** Returns messages about images in the object that Berth cannot change. */
export function unchangeableImages(object: unknown, helmValues = false): string[] {
  const kind = kindOf(object)
  if (kind === 'helm.toolkit.fluxcd.io/HelmRelease' && !helmValues)
    return [
      'images in Helm values are changed only by berth rewrite --helm-values; the webhook changes the pods',
    ]
  if (
    kind === 'kustomize.toolkit.fluxcd.io/Kustomization' &&
    Array.isArray(member(member(object, 'spec'), 'images'))
  )
    return [
      'its images match the names in what it builds, and are not changed; rewriting its path needs the new names here',
    ]
  return []
}

/** `apps/Deployment`, `/Pod`; empty for a value that is not a Kubernetes object. */
export function kindOf(object: unknown): string {
  const apiVersion = textOf(member(object, 'apiVersion'))
  const kind = textOf(member(object, 'kind'))
  if (apiVersion === null || kind === null) return ''
  return groupKind(apiVersion, kind)
}

/** A value in an object. */
interface ValuePlace {
  readonly path: DocumentPath
  readonly value: unknown
}

/** Expands each `[]` of the path to the indexes of the list, and each `*` to the members of the map. */
function placesAt(value: unknown, path: PodPath, parent: DocumentPath = []): ValuePlace[] {
  const [key, ...rest] = path
  if (key === undefined) return value === undefined ? [] : [{ path: parent, value }]
  if (key === '[]')
    return Array.isArray(value)
      ? value.flatMap((item: unknown, index) => placesAt(item, rest, [...parent, index]))
      : []
  if (key === '*')
    return isObject(value)
      ? Object.entries(value).flatMap(([name, each]) => placesAt(each, rest, [...parent, name]))
      : []
  return placesAt(member(value, key), rest, [...parent, key])
}

/** Several paths can lead to the same place. */
function distinctPlaces(places: readonly ValuePlace[]): ValuePlace[] {
  return [...new Map(places.map((place) => [JSON.stringify(place.path), place])).values()]
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
