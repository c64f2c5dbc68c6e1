/**
 * Reads everything in a cluster that names images: pods, and what creates pods, with the old revisions that a rollback returns
 * to. A list that cannot be read is an error, because what it would name could be removed.
 */
import { groupKind } from '../../decision/pod/pod-context.ts'
import { readRecords } from '../../decision/pod/images-annotation.ts'
import { sitesOf } from '../../decision/pod/sites.ts'
import { autoImage } from '../../decision/resolve/decide-by-row.ts'
import { isObject, member, objectsMember, textMember } from '../../json/json.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import { type KubeObject, namespacedName } from '../../kube/object.ts'
import { podLocationsIn, type WorkloadKind } from '../../manifests/pod-locations.ts'
import { digestsOfImageId, type NeededImages } from './needed-images.ts'

interface Collection {
  readonly apiVersion: string
  readonly kind: string
  readonly resource: string
}

/** Every built-in kind with a pod template, and the old revisions of StatefulSets and DaemonSets. */
const builtInCollections: readonly Collection[] = [
  { apiVersion: 'v1', kind: 'Pod', resource: 'pods' },
  { apiVersion: 'v1', kind: 'PodTemplate', resource: 'podtemplates' },
  { apiVersion: 'v1', kind: 'ReplicationController', resource: 'replicationcontrollers' },
  { apiVersion: 'apps/v1', kind: 'ReplicaSet', resource: 'replicasets' },
  { apiVersion: 'apps/v1', kind: 'Deployment', resource: 'deployments' },
  { apiVersion: 'apps/v1', kind: 'StatefulSet', resource: 'statefulsets' },
  { apiVersion: 'apps/v1', kind: 'DaemonSet', resource: 'daemonsets' },
  { apiVersion: 'apps/v1', kind: 'ControllerRevision', resource: 'controllerrevisions' },
  { apiVersion: 'batch/v1', kind: 'Job', resource: 'jobs' },
  { apiVersion: 'batch/v1', kind: 'CronJob', resource: 'cronjobs' },
]

export interface ClusterImagesOptions {
  /** The name of the cluster, for messages. */
  readonly cluster: string
  readonly kinds: readonly WorkloadKind[]
  readonly signal: AbortSignal
  /** Receives messages about images that do not parse, which no node can pull. */
  readonly onProblem: (message: string) => void
}

/** Adds the images of a cluster, of all namespaces. Throws KubeError. */
export async function addClusterImages(
  api: KubeApi,
  needed: NeededImages,
  options: ClusterImagesOptions,
): Promise<void> {
  const { kinds, signal } = options
  const builtIn = new Set(
    builtInCollections.map(({ apiVersion, kind }) => groupKind(apiVersion, kind)),
  )
  const customKinds = kinds.map(({ kind }) => kind).filter((kind) => !builtIn.has(kind))
  const custom = await findCollections(api, customKinds, signal)
  for (const { apiVersion, kind, resource } of [...builtInCollections, ...custom]) {
    // Items of a list have neither apiVersion nor kind.
    for await (const item of api.list<KubeObject>({ apiVersion, resource }, {}, signal))
      addObject({ ...item, apiVersion, kind }, needed, options)
  }
}

/** Returns the collections of kinds such as `group/Kind` that the cluster has, in the versions that the API server prefers. */
async function findCollections(
  api: KubeApi,
  kinds: readonly string[],
  signal: AbortSignal,
): Promise<readonly Collection[]> {
  const groups = objectsMember(await api.getRaw('/apis', signal), 'groups')
  const found: Collection[] = []
  for (const [group, names] of Map.groupBy(new Set(kinds), (each) => each.split('/')[0] ?? '')) {
    const missing = new Set(names.map((each) => each.slice(group.length + 1)))
    const versions = group === '' ? ['v1'] : versionsOf(groups, group)
    for (const apiVersion of versions) {
      const path = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
      const resources = objectsMember(await rawOrNull(api, path, signal), 'resources')
        .map((each) => ({ kind: textMember(each, 'kind'), resource: textMember(each, 'name') }))
        .filter(({ kind, resource }) => !resource.includes('/') && missing.delete(kind))
      found.push(...resources.map((each) => ({ apiVersion, ...each })))
    }
  }
  return found
}

/** Returns the versions of an API group, the preferred one first; none if the cluster does not have it. */
function versionsOf(groups: readonly unknown[], name: string): readonly string[] {
  const group = groups.find((each) => textMember(each, 'name') === name)
  const preferred = textMember(member(group, 'preferredVersion'), 'groupVersion')
  const all = objectsMember(group, 'versions').map((each) => textMember(each, 'groupVersion'))
  return [...new Set([preferred, ...all])].filter((each) => each !== '')
}

async function rawOrNull(api: KubeApi, path: string, signal: AbortSignal): Promise<unknown> {
  try {
    return await api.getRaw(path, signal)
  } catch (error) {
    if (hasStatus(error, 404)) return null
    throw error
  }
}

function addObject(
  object: KubeObject,
  needed: NeededImages,
  { cluster, kinds, onProblem }: ClusterImagesOptions,
): void {
  const { namespace = null } = object.metadata
  const by = `${object.kind} ${namespacedName(object)} in ${cluster}`
  const add = (image: string): void => {
    const problem = needed.addImage(image, namespace, by)
    if (problem !== null) onProblem(`${by}: ignored ${image}: ${problem}`)
  }
  for (const { pod } of podLocationsIn(object, kinds)) imagesOfPodObject(pod).forEach(add)
  if (object.kind === 'ControllerRevision') imagesIn(member(object, 'data')).forEach(add)
  if (object.kind !== 'Pod') return
  for (const imageId of imageIdsOf(object)) {
    for (const digest of digestsOfImageId(imageId)) needed.addDigest(digest, by)
    // With a name, what is below the digest in that repository is needed too.
    const name = imageId.replace(/^.*:\/\//, '')
    if (name.includes('@')) needed.addImage(name, namespace, by)
  }
}

/** Returns the images of a pod or template, and those in the records of Berth: what it asked for, and what it got. */
export function imagesOfPodObject(pod: unknown): readonly string[] {
  const images = [...sitesOf(pod)].map(({ image }) => image)
  const records = [...readRecords(pod).values()].flatMap(({ from, to }) => [from, to])
  return [...new Set([...images, ...records])].filter((image) => image !== autoImage)
}

/** Returns the image IDs in the status of a pod, of the containers that run and of those before a restart. */
function imageIdsOf(pod: KubeObject): readonly string[] {
  const status = member(pod, 'status')
  const lists = ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses']
  return lists
    .flatMap((list) => objectsMember(status, list))
    .flatMap((each) => [textMember(each, 'imageID'), textMember(each, 'image')])
    .filter((text) => text.includes('sha256:'))
}

/** In levels. Pod templates have fewer. */
const maxDepth = 32

/** Returns the images anywhere in the data of a ControllerRevision, whose form its controller defines. */
function imagesIn(value: unknown, depth = 0): readonly string[] {
  if (depth > maxDepth) return []
  if (Array.isArray(value)) return value.flatMap((each) => imagesIn(each, depth + 1))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, each]) => {
    const isImage = (key === 'image' || key === 'reference') && typeof each === 'string'
    if (isImage) return each === '' || each === autoImage ? [] : [each]
    return imagesIn(each, depth + 1)
  })
}
