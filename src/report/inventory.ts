/** What a cluster runs: each image that its pods asked for, once, with where it runs. */
import { requestedImage, readRecords } from '../decision/pod/images-annotation.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject } from '../kube/object.ts'
import { findSites } from '../decision/pod/sites.ts'
import { member } from '../json/json.ts'

export interface Running {
  /** What the pods asked for, before Berth changed it. */
  readonly image: string
  readonly namespace: string
  /** What they run, each once. */
  readonly runs: readonly string[]
  readonly pods: number
}

export interface NamespaceMode {
  readonly name: string
  /** `enforce` or `observe` where pods are shown to Berth; `out` where they are not. */
  readonly mode: 'enforce' | 'observe' | 'out'
}

/** Left out by the shipped webhook configuration whatever their labels say. */
const alwaysOut: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease'])

/** Finds the images of one namespace, or of all. Pods that have ended count for nothing. Throws KubeError. */
export async function takeInventory(
  api: KubeApi,
  namespace: string | undefined,
): Promise<Running[]> {
  const found = new Map<
    string,
    { image: string; namespace: string; runs: Set<string>; pods: number }
  >()
  const where = {
    apiVersion: 'v1',
    resource: 'pods',
    ...(namespace === undefined ? {} : { namespace }),
  }
  for await (const pod of api.list<KubeObject>(where)) {
    const phase = member(member(pod, 'status'), 'phase')
    if (phase === 'Succeeded' || phase === 'Failed') continue
    for (const { asked, image } of imagesOf(pod)) {
      const home = pod.metadata.namespace ?? ''
      const key = `${home} ${asked}`
      const entry = found.get(key) ?? { image: asked, namespace: home, runs: new Set(), pods: 0 }
      entry.runs.add(image)
      entry.pods += 1
      found.set(key, entry)
    }
  }
  return [...found.values()].map((each) => ({ ...each, runs: [...each.runs] }))
}

/** Each image of the pod once, however many containers have it. */
function imagesOf(pod: KubeObject): { readonly asked: string; readonly image: string }[] {
  const records = readRecords(pod)
  const images = new Map(
    findSites(pod).map((site) => [requestedImage(records, site), site.image] as const),
  )
  return [...images].map(([asked, image]) => ({ asked, image }))
}

/** What the namespaces' labels say to Berth. Throws KubeError. */
export async function readNamespaceModes(
  api: KubeApi,
  own: string,
): Promise<Map<string, NamespaceMode>> {
  const states = new Map<string, NamespaceMode>()
  const where = { apiVersion: 'v1', resource: 'namespaces' }
  for await (const { metadata } of api.list(where, { metadataOnly: true })) {
    const { name, labels = {} } = metadata
    const isOut = labels['berth.dev/rewrite'] === 'disabled' || alwaysOut.has(name) || name === own
    const mode = labels['berth.dev/mode'] === 'observe' ? 'observe' : 'enforce'
    states.set(name, { name, mode: isOut ? 'out' : mode })
  }
  return states
}
