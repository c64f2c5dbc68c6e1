/**
 * Finds pods that Berth has not processed and whose images would change in a new pod: Berth was down when they were created, or
 * they are older than Berth or than the row.
 */
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { type FallbackTable, selectRow } from '../decision/fallback/table.ts'
import { imagesAnnotation, readRecords } from '../decision/pod/images-annotation.ts'
import { groupKind, readPodContext } from '../decision/pod/pod-context.ts'
import { maxImages } from '../decision/pod/decide-pod.ts'
import { annotations, findSites, isMirrorPod } from '../decision/pod/sites.ts'
import { parseReference } from '../decision/reference/parse.ts'
import type { Decision } from '../decision/resolve/decide-by-row.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import { isDenied, isLeft } from '../decision/resolve/resolution.ts'
import type { KubeObject, OwnerReference } from '../kube/object.ts'
import { controllerOf, recreateObstacle } from '../kube/pod-owner.ts'
import { hasEnded } from '../kube/pod-status.ts'
import { silentOutcomes } from './cluster-report.ts'

/** A pod without records that has an image with candidates, reduced to what the decision about it needs. */
export interface UnrecordedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** The controller that recreates it; null if it has none. */
  readonly owner: OwnerReference | null
  /** For the selectors of the webhook configuration. */
  readonly labels: Readonly<Record<string, string>>
  readonly context: PodContext
  /** Milliseconds since 1970, to the second. */
  readonly createdAt: number
  /** The images that the kubelet may pull, each once. */
  readonly images: readonly string[]
}

/** Returns true for a pod with a record of one of its images: proof that Berth has processed it, unless someone forged it. */
export function hasCurrentRecord(pod: KubeObject): boolean {
  const records = readRecords(pod)
  return findSites(pod).some(({ name, image }) => records.get(name)?.to === image)
}

/** Returns null for a pod that Berth has processed, one without candidates for its images, and one that no webhook sees. */
export function readUnrecordedPod(table: FallbackTable, pod: KubeObject): UnrecordedPod | null {
  const { namespace = '', name, uid = '', creationTimestamp = '', labels = {} } = pod.metadata
  if (pod.metadata.deletionTimestamp !== undefined || hasEnded(pod)) return null
  if (annotations(pod)[imagesAnnotation] !== undefined || isMirrorPod(pod)) return null
  const context = readPodContext(pod, namespace)
  const pulled = findSites(pod)
    // A new pod has no ephemeral containers.
    .filter((site) => site.pullPolicy !== 'Never' && !site.name.startsWith('ephemeralContainers/'))
    .map(({ image }) => image)
  if (!pulled.some((image) => hasCandidates(table, image, context))) return null
  const images = [...new Set(pulled)]
  if (images.length > maxImages) return null
  const owner = controllerOf(pod.metadata)
  const createdAt = Date.parse(creationTimestamp) || 0
  return { namespace, name, uid, owner, labels, context, createdAt, images }
}

function hasCandidates(table: FallbackTable, image: string, context: PodContext): boolean {
  const parsed = parseReference(image)
  return parsed.ok && (selectRow(table, parsed.reference, context).row?.try.length ?? 0) > 0
}

/** An image that would change in a new pod. */
export interface MovedImage {
  readonly image: string
  readonly becomes: string
  readonly row: string | null
}

export interface MovedImages {
  /** Empty if a new pod would run the same images, or would be denied. */
  readonly moved: readonly MovedImage[]
  /** Why its images keep Berth from restarting the pod; null if they do not. */
  readonly obstacle: string | null
  /** True if a registry did not answer, so that the decision may change. */
  readonly isUnknown: boolean
}

/** Decides the images of a pod as for a new pod. Failures of registries are part of the result. */
export async function findMovedImages(
  decide: Decide,
  { images, context }: Pick<UnrecordedPod, 'images' | 'context'>,
  signal: AbortSignal,
): Promise<MovedImages> {
  const moved: MovedImage[] = []
  let obstacle: string | null = null
  let isUnknown = false
  for (const image of images) {
    const decision = await decide(image, { pod: context, signal: () => signal })
    if (isRejected(decision)) return { moved: [], obstacle: null, isUnknown }
    if (!decision.ok) continue
    const { resolution, image: becomes } = decision
    isUnknown ||= resolution.steps.some(({ outcome }) => silentOutcomes.includes(outcome))
    const isMoved = resolution.changed && resolution.kind !== 'original'
    obstacle ??= obstacleOf(decision, isMoved)
    if (isMoved) moved.push({ image, becomes, row: resolution.row })
  }
  return { moved, obstacle, isUnknown }
}

function obstacleOf(
  { resolution, image }: Extract<Decision, { readonly ok: true }>,
  isMoved: boolean,
): string | null {
  if (isLeft(resolution)) return `row ${resolution.row} leaves an image of the pod unchanged`
  const isProven = resolution.reason === 'found' || resolution.reason === 'trusted'
  return isMoved && !isProven
    ? `the registry of ${image} has not confirmed that it has the image`
    : null
}

function isRejected(decision: Decision): boolean {
  return decision.ok ? isDenied(decision.resolution) : decision.deniedBy !== null
}

/** Controllers that create a pod in place of an evicted one and do nothing else. */
const plainOwners = new Set(['apps/ReplicaSet', 'apps/StatefulSet', 'apps/DaemonSet', '/ReplicationController']) // prettier-ignore

/** Returns why Berth does not restart pods of this owner; null if it may. */
export function restartObstacle(owner: OwnerReference | null): string | null {
  if (owner?.kind === 'Job') return `the pod runs until Job ${owner.name} has finished`
  const obstacle = recreateObstacle(owner)
  if (obstacle !== null || owner === null) return obstacle
  return plainOwners.has(groupKind(owner.apiVersion, owner.kind))
    ? null
    : `${owner.kind} ${owner.name} may react to evictions in its own way: restart its pods yourself`
}
