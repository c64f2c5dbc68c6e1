/** Lists the images that the pods of a cluster request and run, and how Berth treats each namespace. */
import { requestedImage, readRecords } from '../decision/pod/images-annotation.ts'
import { excludedNamespaces } from '../config/copy-settings.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject } from '../kube/object.ts'
import { findSites } from '../decision/pod/sites.ts'
import { member } from '../json/json.ts'

export interface RunningImage {
  /** The image that the pods requested, before Berth changed it. */
  readonly image: string
  readonly namespace: string
  /** The images that they run, each once. */
  readonly runs: readonly string[]
  readonly pods: number
}

export interface NamespaceMode {
  readonly name: string
  /** `enforce` or `observe` where the API server calls the webhook; `out` where it does not. */
  readonly mode: 'enforce' | 'observe' | 'out'
}

/** Returns the images of one namespace, or of all, without those of pods that have ended. Throws KubeError. */
export async function listRunningImages(
  api: KubeApi,
  namespace: string | undefined,
): Promise<RunningImage[]> {
  const images = new Map<
    string,
    { image: string; namespace: string; runs: Set<string>; pods: number }
  >()
  const pods = {
    apiVersion: 'v1',
    resource: 'pods',
    ...(namespace === undefined ? {} : { namespace }),
  }
  for await (const pod of api.list<KubeObject>(pods)) {
    const phase = member(member(pod, 'status'), 'phase')
    if (phase === 'Succeeded' || phase === 'Failed') continue
    for (const { requested, image } of imagesOf(pod)) {
      const { namespace: own = '' } = pod.metadata
      const key = `${own} ${requested}`
      const entry = images.get(key) ?? {
        image: requested,
        namespace: own,
        runs: new Set(),
        pods: 0,
      }
      entry.runs.add(image)
      entry.pods += 1
      images.set(key, entry)
    }
  }
  return [...images.values()].map((each) => ({ ...each, runs: [...each.runs] }))
}

/** Returns each image of the pod once, however many containers use it. */
function imagesOf(pod: KubeObject): { readonly requested: string; readonly image: string }[] {
  const records = readRecords(pod)
  const images = new Map(
    findSites(pod).map((site) => [requestedImage(records, site), site.image] as const),
  )
  return [...images].map(([requested, image]) => ({ requested, image }))
}

/** Returns the mode of each namespace by its labels; Berth's own namespace is `out`. Throws KubeError. */
export async function readNamespaceModes(
  api: KubeApi,
  berthNamespace: string,
): Promise<Map<string, NamespaceMode>> {
  const modes = new Map<string, NamespaceMode>()
  const namespaces = { apiVersion: 'v1', resource: 'namespaces' }
  for await (const { metadata } of api.list(namespaces, { metadataOnly: true })) {
    const { name, labels = {} } = metadata
    // The webhook configuration excludes these namespaces whatever their labels.
    const isOut =
      labels['berth.dev/rewrite'] === 'disabled' ||
      excludedNamespaces.has(name) ||
      name === berthNamespace
    const mode = labels['berth.dev/mode'] === 'observe' ? 'observe' : 'enforce'
    modes.set(name, { name, mode: isOut ? 'out' : mode })
  }
  return modes
}
