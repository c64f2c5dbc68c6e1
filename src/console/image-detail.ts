/** Describes one image of the list: its candidates, the digests that nodes run, and its pods. Pure. */
import type { Config } from '../config/config.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import { isObject, member, objectsMember, textMember } from '../json/json.ts'
import type { KubeObject } from '../kube/object.ts'
import { controllerOf } from '../kube/pod-owner.ts'
import { isReady } from '../kube/pod-status.ts'
import type { PodImage } from '../report/inventory.ts'
import type { ImageUse } from './image-list.ts'
import type { ImageDetail, ImagePod, ImageRow } from './wire.ts'

/** Pods that the page lists for one image. */
const maxPods = 200

/** Owners that the page lists for one image. */
const maxRevisions = 100

export interface DetailOptions {
  readonly config: Config
  readonly row: ImageRow
  readonly image: PodImage
  readonly uses: readonly ImageUse[]
}

export function imageDetail({ config, row, image, uses }: DetailOptions): ImageDetail {
  const listed: ImagePod[] = []
  const revisions = new Map<string, { owner: string; digest: string | null; pods: number }>()
  for (const { pod, image: runs } of uses) {
    const owner = controllerOf(pod.metadata)
    const revision = {
      owner: owner === null ? pod.metadata.name : `${owner.kind} ${owner.name}`,
      digest: digestOf(pod, runs),
    }
    const name = JSON.stringify(revision)
    revisions.set(name, { ...revision, pods: (revisions.get(name)?.pods ?? 0) + 1 })
    listed.push(podOf(pod, runs))
  }
  const parsed = parseReference(row.image)
  return {
    row,
    candidates: parsed.ok
      ? resolveWithoutProbing(config, {
          reference: parsed.reference,
          pod: image.pod,
        }).steps.map(({ candidate }) => candidate.image)
      : [],
    admission: 'why' in image.admission ? image.admission.why : image.admission.mode,
    revisions: [...revisions.values()].slice(0, maxRevisions),
    pods: listed.slice(0, maxPods),
    morePods: Math.max(0, listed.length - maxPods),
  }
}

function podOf(pod: KubeObject, runs: string): ImagePod {
  const node = textMember(member(pod, 'spec'), 'nodeName')
  return {
    name: pod.metadata.name,
    node: node === '' ? null : node,
    phase: textMember(member(pod, 'status'), 'phase'),
    isReady: isReady(pod),
    runs,
  }
}

/** Returns the digest that the node reports for the container with this image. */
function digestOf(pod: KubeObject, image: string): string | null {
  const spec = member(pod, 'spec')
  const status = member(pod, 'status')
  for (const [list, statuses] of [
    ['containers', 'containerStatuses'],
    ['initContainers', 'initContainerStatuses'],
    ['ephemeralContainers', 'ephemeralContainerStatuses'],
  ] as const) {
    const container = objectsMember(spec, list).find((each) => each['image'] === image)
    const found = objectsMember(status, statuses).find(({ name }) => name === container?.['name'])
    const id = isObject(found) ? textMember(found, 'imageID') : ''
    const digest = /sha256:[0-9a-f]{64}/.exec(id)?.[0]
    if (digest !== undefined) return digest
  }
  return null
}
