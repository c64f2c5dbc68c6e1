/**
 * Detects owners that delete and recreate pods again and again because Berth changed their images. Pure.
 *
 * The evidence is a chain: a pod with changed images is deleted, its owner creates the same pod again, which is deleted too, and
 * so on. A rollout changes the pod. A rolling restart replaces each pod once. An eviction, a crash and a pull failure show in the
 * status of the pod. An autoscaler does not replace a pod that it removes at once.
 */
import { createHash } from 'node:crypto'
import {
  type ImageRecord,
  imagesAnnotation,
  readRecords,
} from '../decision/pod/images-annotation.ts'
import { groupKind } from '../decision/pod/pod-context.ts'
import { annotations, findSites } from '../decision/pod/sites.ts'
import { isObject, type JsonObject, member, objectsMember } from '../json/json.ts'
import type { KubeObject, OwnerReference } from '../kube/object.ts'
import { controllerOf } from '../kube/pod-owner.ts'

/** A pod with changed images, reduced to what the detector needs. */
export interface RewrittenPod {
  readonly uid: string
  readonly namespace: string
  readonly owner: OwnerReference
  /** Equal for two pods if the same owner asked for the same pod. */
  readonly request: string
  readonly labels: Readonly<Record<string, string>>
  /** The first image that Berth changed. */
  readonly change: Pick<ImageRecord, 'site' | 'from' | 'to'>
  readonly isTerminating: boolean
  /** True if the images are not the reason for its end: it was evicted, crashed or completed, or cannot pull an image. */
  readonly isExcused: boolean
}

/** An owner that recreates its pods, with a pod as an example. */
export type ImageConflict = Pick<RewrittenPod, 'namespace' | 'owner' | 'labels' | 'change'> & {
  /** How often the pod was replaced, one after the other. */
  readonly replacements: number
}

export interface ConflictDetector {
  /** To be called for each new or changed pod. Returns a conflict if the pod is one replacement too many. */
  observe(pod: RewrittenPod, now: number): ImageConflict | null
  /** To be called when a pod is gone. */
  remove(uid: string, now: number): void
}

export interface ConflictLimits {
  /** How many replacements in a row are a conflict. */
  readonly replacements: number
  /** Milliseconds in which they have to happen. */
  readonly windowMs: number
  /** Milliseconds after the end of a pod in which a new pod counts as its replacement. */
  readonly replaceMs: number
}

const defaultLimits: ConflictLimits = {
  replacements: 3,
  // Horizontal Pod Autoscalers wait 5 minutes before they scale down again (kube-controller-manager,
  // --horizontal-pod-autoscaler-downscale-stabilization), so three times take longer.
  windowMs: 600_000,
  // Owners replace a pod at once. An autoscaler decides again only at its next sync, 15 seconds later.
  replaceMs: 10_000,
}

/** These controllers of Kubernetes do not compare images, and replace or remove pods for other reasons. */
const trustedOwners = new Set(['apps/ReplicaSet', '/ReplicationController', 'batch/Job', '/Node'])

/** The API server does not check the owner references of a pod, and the kind becomes part of a row that people paste. */
const validKind = /^[a-z0-9.-]*\/[A-Z][A-Za-z0-9]*$/

/** Returns null for a pod whose images Berth did not change, and for one without an owner that could compare them. */
export function readRewrittenPod(pod: KubeObject): RewrittenPod | null {
  const owner = controllerOf(pod.metadata)
  const kind = owner === null ? '' : groupKind(owner.apiVersion, owner.kind)
  if (owner === null || !validKind.test(kind) || trustedOwners.has(kind)) return null
  const records = readRecords(pod)
  const change = findSites(pod)
    .map(({ name, image }) => records.get(name) ?? { site: name, from: image, to: image })
    .find(({ from, to }) => from !== to)
  if (change === undefined) return null
  const { uid = '', namespace = '', deletionTimestamp } = pod.metadata
  const isTerminating = deletionTimestamp !== undefined
  return {
    uid,
    namespace,
    owner,
    request: `${owner.uid} ${requestHash(pod, records)}`,
    labels: pod.metadata.labels ?? {},
    change: { site: change.site, from: change.from, to: change.to },
    isTerminating,
    isExcused: isDisrupted(pod) || hasRestarted(pod) || (!isTerminating && hasFailed(pod)),
  }
}

/** Hashes what the owner asked for: the pod without what the API server, the scheduler and Berth add to each one. */
function requestHash(pod: KubeObject, records: ReadonlyMap<string, ImageRecord>): string {
  const images = findSites(pod).map(({ name, image }) => [name, records.get(name)?.from ?? image])
  const { nodeName: _, ...spec } = objectOf(member(pod, 'spec'))
  const { [imagesAnnotation]: __, ...others } = annotations(pod)
  const text = JSON.stringify([images, spec, pod.metadata.labels ?? {}, others], withoutImages)
    .replaceAll(pod.metadata.name, '{name}')
    // The volume with the token has a random name (kubernetes, plugin/pkg/admission/serviceaccount).
    .replaceAll(/kube-api-access-[a-z0-9]{5}/g, 'kube-api-access')
  return createHash('sha256').update(text).digest('base64')
}

/** For JSON.stringify: leaves out the images of containers and of image volumes. */
function withoutImages(key: string, value: unknown): unknown {
  const isImage = (key === 'image' || key === 'reference') && typeof value === 'string'
  return isImage ? undefined : value
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

/** Evictions, preemption and taints set this condition (KEP-3329). */
function isDisrupted(pod: KubeObject): boolean {
  return objectsMember(member(pod, 'status'), 'conditions').some(
    ({ type, status }) => type === 'DisruptionTarget' && status === 'True',
  )
}

function hasRestarted(pod: KubeObject): boolean {
  return containerStatuses(pod).some((status) => Number(member(status, 'restartCount') ?? 0) > 0)
}

/** A container that waits for any other reason cannot start. */
const usualWaiting = new Set<unknown>(['ContainerCreating', 'PodInitializing', undefined])

/** For pods that are not terminating: the containers of a terminating pod can end with any status. */
function hasFailed(pod: KubeObject): boolean {
  const phase = member(member(pod, 'status'), 'phase')
  if (phase === 'Failed' || phase === 'Succeeded') return true
  return containerStatuses(pod).some((status) => {
    const state = member(status, 'state')
    const exitCode = member(member(state, 'terminated'), 'exitCode')
    const waiting = member(member(state, 'waiting'), 'reason')
    return (exitCode !== undefined && exitCode !== 0) || !usualWaiting.has(waiting)
  })
}

function containerStatuses(pod: KubeObject): readonly JsonObject[] {
  const status = member(pod, 'status')
  return ['initContainerStatuses', 'containerStatuses'].flatMap((key) => objectsMember(status, key))
}

interface TrackedPod {
  readonly request: string
  /** When each of the pods before it was deleted. */
  readonly deletions: readonly number[]
  isExcused: boolean
}

/** A pod that is terminating or gone, and has no replacement yet. */
interface EndedPod {
  readonly uid: string
  readonly request: string
  readonly deletions: readonly number[]
  /** Null while it is terminating. */
  goneAt: number | null
}

/** Returns a detector without pods. Its memory is bounded by the number of rewritten pods. */
export function createConflictDetector(limits: ConflictLimits = defaultLimits): ConflictDetector {
  const pods = new Map<string, TrackedPod>()
  let ended: EndedPod[] = []

  function end(uid: string, pod: TrackedPod, now: number): void {
    if (pod.isExcused || ended.some((each) => each.uid === uid)) return
    const recent = pod.deletions.filter((time) => now - time < limits.windowMs)
    ended.push({ uid, request: pod.request, deletions: [...recent, now], goneAt: null })
  }

  function takePredecessor(request: string, now: number): EndedPod | undefined {
    ended = ended.filter(({ goneAt }) => goneAt === null || now - goneAt <= limits.replaceMs)
    const predecessor = ended.find((each) => each.request === request)
    if (predecessor !== undefined) ended = ended.filter((each) => each !== predecessor)
    return predecessor
  }

  return {
    observe(pod, now) {
      const known = pods.get(pod.uid)
      if (known !== undefined) {
        known.isExcused ||= pod.isExcused
        if (pod.isTerminating) end(pod.uid, known, now)
        return null
      }
      const deletions = takePredecessor(pod.request, now)?.deletions ?? []
      pods.set(pod.uid, { request: pod.request, deletions, isExcused: pod.isExcused })
      const { namespace, owner, labels, change } = pod
      return deletions.length < limits.replacements
        ? null
        : { namespace, owner, labels, change, replacements: deletions.length }
    },
    remove(uid, now) {
      const pod = pods.get(uid)
      if (pod === undefined) return
      pods.delete(uid)
      end(uid, pod, now)
      for (const each of ended) if (each.uid === uid) each.goneAt = now
    },
  }
}

/** Labels that name an application, in order of preference. Other labels may differ between its pods. */
const nameLabels = [
  'app.kubernetes.io/instance',
  'app.kubernetes.io/name',
  'app',
  'k8s-app',
  'name',
]

/**
 * Returns the row of `fallback` that leaves the images of an owner unchanged, as YAML in one line. The kinds of the group apps
 * have many pods that no operator compares, so the row for one of them also has the namespace and a label.
 */
export function rowToLeave({ namespace, owner, labels }: ImageConflict): string {
  const kind = groupKind(owner.apiVersion, owner.kind)
  const label = nameLabels.find((each) => labels[each] !== undefined)
  const pods =
    label === undefined ? '' : `, pods: { matchLabels: { ${label}: ${quoted(labels[label])} } }`
  const isCommon = kind.startsWith('apps/')
  const when = isCommon
    ? `namespaces: [${quoted(namespace)}], owners: [${kind}]${pods}`
    : `owners: [${kind}]`
  const name = `leave-${isCommon ? owner.name : owner.kind}`
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
  return `- { name: ${name.slice(0, 63)}, when: { ${when} }, leave: true }`
}

/** Quotes text that YAML would not read as text, such as 1. */
function quoted(text = ''): string {
  return /^[a-z][a-z0-9-]*$/.test(text) && !/^(?:true|false|null)$/.test(text) ? text : `'${text}'`
}
