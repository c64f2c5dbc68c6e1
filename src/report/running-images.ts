/** Lists the images that a pod runs, and where each must be for another node to pull it. Pure. */
import { readRecords, requestedImage } from '../decision/pod/images-annotation.ts'
import { type Site, sitesOf } from '../decision/pod/sites.ts'
import { autoImage } from '../decision/resolve/decide-by-row.ts'
import { isObject, member } from '../json/json.ts'
import type { KubeObject } from '../kube/object.ts'
import { hasEnded } from '../kube/pod-status.ts'

/** `registry`: the image in the pod, which nodes pull. `upstream`: the image that Berth replaced with it. */
export type ImageSource = 'registry' | 'upstream'

export interface SourcedImage {
  readonly source: ImageSource
  readonly image: string
}

/** No real pod has that many. A tenant's pod can have thousands of containers. */
const maxImagesPerPod = 256

const statusLists: Readonly<Record<string, string>> = {
  initContainers: 'initContainerStatuses',
  containers: 'containerStatuses',
  ephemeralContainers: 'ephemeralContainerStatuses',
}

/**
 * Returns the images that the pod has pulled, each once for each source, and at most 512. An image that a node could not pull yet is
 * left out: it may never have existed. So is an image with the pull policy Never.
 */
export function runningImages(pod: KubeObject): readonly SourcedImage[] {
  if (hasEnded(pod)) return []
  const records = readRecords(pod)
  const pulled = pulledSites(pod)
  const registry = new Set<string>()
  const upstream = new Set<string>()
  for (const site of sitesOf(pod)) {
    if (registry.size === maxImagesPerPod) break
    if (site.pullPolicy === 'Never' || site.image === autoImage || !pulled(site)) continue
    registry.add(site.image)
    const requested = requestedImage(records, site)
    if (requested !== site.image) upstream.add(requested)
  }
  return [
    ...[...registry].map((image) => ({ source: 'registry', image }) as const),
    ...[...upstream].map((image) => ({ source: 'upstream', image }) as const),
  ]
}

/** Returns a function that says whether the node has the image of a site. */
function pulledSites(pod: KubeObject): (site: Site) => boolean {
  const status = member(pod, 'status')
  const pulled = new Set<string>()
  for (const [list, statuses] of Object.entries(statusLists)) {
    const entries = member(status, statuses)
    if (!Array.isArray(entries)) continue
    for (const entry of entries) {
      // Empty until the container is created (kubelet, convertToAPIContainerStatuses).
      const isPulled = isObject(entry) && typeof entry['imageID'] === 'string' && entry['imageID'] !== '' // prettier-ignore
      if (isPulled) pulled.add(`${list}/${String(entry['name'])}`)
    }
  }
  // An image volume has no status; its pod runs only after its image was pulled.
  const isRunning = member(status, 'phase') === 'Running'
  return ({ name }) => (name.startsWith('volumes/') ? isRunning : pulled.has(name))
}
