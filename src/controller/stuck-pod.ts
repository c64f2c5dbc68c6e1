/** Finds pods that cannot pull an image to which Berth changed theirs. Pure. */
import { readRecords } from '../decision/pod/images-annotation.ts'
import { readPodContext } from '../decision/pod/pod-context.ts'
import { findSites } from '../decision/pod/sites.ts'
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { detectedConflictRow } from '../decision/fallback/table.ts'
import { pullFailures } from '../diagnose/pull-failure.ts'
import { controllerOf } from '../kube/pod-owner.ts'
import type { KubeObject, OwnerReference } from '../kube/object.ts'
import { hasEnded } from '../kube/pod-status.ts'

/** A pod that waits for an image, reduced to what the decision about it needs. */
export interface StuckPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** The controller that recreates it; null if it has none. */
  readonly owner: OwnerReference | null
  readonly context: PodContext
  /** Milliseconds since 1970, to the second. */
  readonly createdAt: number
  readonly images: readonly StuckImage[]
}

export interface StuckImage {
  /** What the pod asked for. */
  readonly requested: string
  /** What it cannot pull. */
  readonly image: string
}

/** Returns null for a pod that waits for no image of Berth, and for a pod that is terminating or has ended. */
export function readStuckPod(pod: KubeObject): StuckPod | null {
  const { metadata } = pod
  if (metadata.deletionTimestamp !== undefined || hasEnded(pod)) return null
  const failing = new Set(pullFailures(pod, []).map(({ field }) => field))
  if (failing.size === 0) return null
  const records = readRecords(pod)
  const images = findSites(pod).flatMap(({ name, image }): StuckImage[] => {
    const record = records.get(name)
    // A new pod of an owner in conflict keeps the image too.
    if (record?.to !== image || record.row === detectedConflictRow.name) return []
    return failing.has(name) ? [{ requested: record.from, image }] : []
  })
  if (images.length === 0) return null
  const { namespace = '', name, uid = '', creationTimestamp = '' } = metadata
  return {
    namespace,
    name,
    uid,
    owner: controllerOf(metadata),
    context: readPodContext(pod, namespace),
    createdAt: Date.parse(creationTimestamp) || 0,
    images,
  }
}
