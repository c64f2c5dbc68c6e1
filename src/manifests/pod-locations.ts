/** Finds the pods and images in a Kubernetes object, and their paths. */
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { groupKind, readLabels, readPodContext } from '../decision/pod/pod-context.ts'
import { readPodPlatforms } from '../decision/pod/pod-platforms.ts'
import { valueAt, type PodPath, podPath } from '../decision/pod/pod-path.ts'
import { isObject, member } from '../json/json.ts'
import type { DocumentPath } from './manifests.ts'

/** A kind that the config lists under `workloads`, in addition to the built-in ones. */
export interface WorkloadKind {
  /** `group/Kind`. */
  readonly kind: string
  /** The path of what has the `metadata` and `spec` of a pod; null when the kind has no pod template. */
  readonly pod: PodPath | null
  /** Paths of images outside a pod; `[]` in a path means each item of a list. */
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

/** Returns each pod and each single image of an object; none for an unknown kind. */
export function podLocationsIn(object: unknown, kinds: readonly WorkloadKind[]): PodLocation[] {
  const namespace = textOf(member(member(object, 'metadata'), 'namespace'))
  const configured = kinds.filter(({ kind }) => kind === kindOf(object))
  const podPaths = Object.fromEntries(
    configured.flatMap(({ kind, pod }) => (pod === null ? [] : [[kind, pod]])),
  )
  const path = podPath(object, podPaths)
  const pod = path === null ? undefined : valueAt(object, path)
  const pods: PodLocation[] =
    path === null || !isObject(pod)
      ? []
      : [
          {
            namespace,
            isPod: true,
            pod,
            context: contextOf(object, pod, namespace),
            path,
            pointerFromPath: (pointer) => pointer,
            siteName: (name) => name,
          },
        ]
  const images = configured
    .flatMap(({ images: paths }) => paths)
    .flatMap((each) => imagesAt(object, each))
    .map(({ path: imagePath, image }): PodLocation => {
      const name = imagePath.join('.')
      return {
        namespace,
        isPod: false,
        pod: { spec: { containers: [{ name, image }] } },
        context: { namespace, labels: null, owners: null },
        path: imagePath,
        pointerFromPath: () => '',
        siteName: () => name,
      }
    })
  return [...pods, ...images]
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
export function unchangeableImages(object: unknown): string[] {
  const kind = kindOf(object)
  if (kind === 'helm.toolkit.fluxcd.io/HelmRelease')
    return [
      'values are not changed, because only the chart knows which of them are images; the webhook changes the pods',
    ]
  if (kind === 'kustomize.config.k8s.io/Kustomization' && Array.isArray(member(object, 'images')))
    return [
      'its images match the names in the bases; rewrite the output of kustomize, not its input',
    ]
  return []
}

/** `apps/Deployment`, `/Pod`; empty for a value that is not a Kubernetes object. */
function kindOf(object: unknown): string {
  const apiVersion = textOf(member(object, 'apiVersion'))
  const kind = textOf(member(object, 'kind'))
  if (apiVersion === null || kind === null) return ''
  return groupKind(apiVersion, kind)
}

interface ImageAtPath {
  readonly path: DocumentPath
  readonly image: string
}

/** Expands each `[]` of the path to the indexes of the list. */
function imagesAt(value: unknown, path: PodPath, parent: DocumentPath = []): ImageAtPath[] {
  const [key, ...rest] = path
  if (key === undefined)
    return typeof value === 'string' && value !== '' ? [{ path: parent, image: value }] : []
  if (key !== '[]') return imagesAt(member(value, key), rest, [...parent, key])
  return Array.isArray(value)
    ? value.flatMap((item: unknown, index) => imagesAt(item, rest, [...parent, index]))
    : []
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
