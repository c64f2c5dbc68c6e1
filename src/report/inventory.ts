/** Lists the images that the pods of a cluster request and run. */
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { readPodContext } from '../decision/pod/pod-context.ts'
import { requestedImage, readRecords } from '../decision/pod/images-annotation.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject } from '../kube/object.ts'
import { hasEnded } from '../kube/pod-status.ts'
import { findSites } from '../decision/pod/sites.ts'
import { imagesOfPod } from '../mirror/pod-images.ts'
import type { PodImages } from '../mirror/wanted-images.ts'
import type { AdmissionMode, FindAdmissionMode } from './admission-mode.ts'

export interface RunningImage {
  /** The image that the pods requested, before Berth changed it. */
  readonly image: string
  readonly namespace: string
  /** The images that they run, each once. */
  readonly runs: readonly string[]
  readonly pods: number
}

/** An image of pods that the config treats alike. */
export interface PodImage extends RunningImage {
  readonly pod: PodContext
  readonly admission: AdmissionMode
  /** True with `imagePullPolicy: Never`. */
  readonly isNeverPulled: boolean
}

/** What distinguishes pods for a report. */
export interface InventoryOptions {
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  /** Returns the same text for pods that the config treats alike. */
  readonly podKey: (pod: PodContext) => string
  readonly findMode: FindAdmissionMode
}

/** Collects the images of pods, each once for pods that the config treats alike. */
export interface Inventory {
  /** Adds the images of a pod that has not ended. */
  add(pod: KubeObject): readonly AddedImage[]
  /** By key. */
  images(): ReadonlyMap<string, PodImage>
}

/** An image of one pod. */
export interface AddedImage {
  readonly key: string
  /** The image that the pod runs. */
  readonly image: string
}

export function createInventory({
  podKey,
  findMode,
}: Omit<InventoryOptions, 'namespace'>): Inventory {
  const images = new Map<string, Omit<PodImage, 'runs'> & { runs: Set<string>; pods: number }>()
  return {
    add(pod) {
      const { namespace: own = '' } = pod.metadata
      const context = readPodContext(pod, own)
      const admission = findMode(pod)
      const kind = `${podKey(context)} ${JSON.stringify(admission)}`
      return imagesOf(pod).map(({ requested, image, isNeverPulled }) => {
        const key = [own, requested, isNeverPulled, kind].join(' ')
        const entry = images.get(key) ?? {
          image: requested,
          namespace: own,
          pod: context,
          admission,
          isNeverPulled,
          runs: new Set(),
          pods: 0,
        }
        entry.runs.add(image)
        entry.pods += 1
        images.set(key, entry)
        return { key, image }
      })
    },
    images: () =>
      new Map([...images].map(([key, each]) => [key, { ...each, runs: [...each.runs] }])),
  }
}

/** Returns the images of running pods, each once for pods that the config treats alike. Throws KubeError. */
export async function listRunningImages(
  api: KubeApi,
  { namespace, ...options }: InventoryOptions,
): Promise<PodImage[]> {
  const inventory = createInventory(options)
  for await (const pod of listPods(api, namespace)) inventory.add(pod)
  return [...inventory.images().values()]
}

/** Yields the pods that have not ended. Throws KubeError. */
export async function* listPods(
  api: KubeApi,
  namespace: string | undefined,
): AsyncGenerator<KubeObject, void> {
  const pods = {
    apiVersion: 'v1',
    resource: 'pods',
    ...(namespace === undefined ? {} : { namespace }),
  }
  for await (const pod of api.list<KubeObject>(pods)) if (!hasEnded(pod)) yield pod
}

/** Returns the images that each pod pulls, as it asked for them. Throws KubeError. */
export async function listPodImages(
  api: KubeApi,
  namespace: string | undefined,
): Promise<PodImages[]> {
  const pods: PodImages[] = []
  for await (const pod of listPods(api, namespace))
    pods.push({
      images: imagesOfPod(pod),
      pod: readPodContext(pod, pod.metadata.namespace ?? ''),
    })
  return pods
}

interface RequestedImage {
  readonly requested: string
  readonly image: string
  readonly isNeverPulled: boolean
}

/** Returns each image of the pod once, however many containers use it. */
function imagesOf(pod: KubeObject): RequestedImage[] {
  const records = readRecords(pod)
  const images = findSites(pod).map((site) => ({
    requested: requestedImage(records, site),
    image: site.image,
    isNeverPulled: site.pullPolicy === 'Never',
  }))
  return [
    ...new Map(images.map((each) => [`${each.requested} ${each.isNeverPulled}`, each])).values(),
  ]
}
