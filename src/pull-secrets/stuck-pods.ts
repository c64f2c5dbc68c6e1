/**
 * Pods that a pull secret reached too late. A pod's list of pull secrets is fixed when it is made (core validation,
 * ValidatePodUpdate), so a pod that lacks one can only be made again; one that has it waits for the kubelet's back-off.
 */
import { createKeyMatcher } from '../credentials/docker-config-keys.ts'
import { parseReference } from '../decision/reference/parse.ts'
import type { AccountState } from './objects.ts'

interface RawStatus {
  readonly name?: string
  readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } }
}

interface RawContainer {
  readonly name?: string
  readonly image?: string
}

export interface RawPod {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
    readonly ownerReferences?: readonly Owner[]
  }
  readonly spec?: {
    readonly serviceAccountName?: string
    readonly imagePullSecrets?: readonly { readonly name?: string }[]
    readonly initContainers?: readonly RawContainer[]
    readonly containers?: readonly RawContainer[]
  }
  readonly status?: {
    readonly initContainerStatuses?: readonly RawStatus[]
    readonly containerStatuses?: readonly RawStatus[]
  }
}

interface Owner {
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
}

export interface StuckPod {
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly account: string
  /** Who makes it again; null when nobody does. */
  readonly owner: Owner | null
  /** That it waits for. */
  readonly images: readonly string[]
  /** Those of which a registry that let the kubelet in said that it has none: no other secret helps. */
  readonly absent: readonly string[]
  readonly pullSecrets: readonly string[]
  /** Milliseconds since 1970, to the second. */
  readonly createdAt: number
}

/** kubernetes, pkg/kubelet/images/types.go. */
const pullReasons: ReadonlySet<string> = new Set(['ErrImagePull', 'ImagePullBackOff'])

/** Null for a pod that waits for no image. */
export function readStuckPod({ metadata, spec = {}, status = {} }: RawPod): StuckPod | null {
  const waits = metadata.deletionTimestamp === undefined ? waitedFor(spec, status) : []
  if (waits.length === 0) return null
  const { name, uid = '', resourceVersion = '', ownerReferences = [] } = metadata
  return {
    name,
    uid,
    resourceVersion,
    account: spec.serviceAccountName ?? 'default',
    owner: ownerReferences.find(({ controller }) => controller === true) ?? null,
    images: waits.map(({ image }) => image),
    absent: waits.flatMap(({ image, message }) => (saysAbsent(message) ? [image] : [])),
    pullSecrets: (spec.imagePullSecrets ?? []).map((entry) => entry.name ?? ''),
    createdAt: Date.parse(metadata.creationTimestamp ?? '') || 0,
  }
}

function waitedFor(
  { initContainers = [], containers = [] }: NonNullable<RawPod['spec']>,
  { initContainerStatuses = [], containerStatuses = [] }: NonNullable<RawPod['status']>,
): { readonly image: string; readonly message: string }[] {
  const waiting = new Map(
    [...initContainerStatuses, ...containerStatuses].flatMap(({ name = '', state }) =>
      pullReasons.has(state?.waiting?.reason ?? '') ? [[name, state?.waiting?.message ?? '']] : [],
    ),
  )
  return [...initContainers, ...containers].flatMap(({ name = '', image = '' }) => {
    const message = waiting.get(name)
    return message === undefined ? [] : [{ image, message }]
  })
}

/** containerd's and CRI-O's words for a 404; a registry that hides what it has speaks of access as well. */
function saysAbsent(message: string): boolean {
  return /not found|manifest unknown/i.test(message) && !/denied|auth|forbidden/i.test(message)
}

/** A copy as it stands in the pod's namespace. */
export interface PresentCopy {
  readonly name: string
  readonly keys: readonly string[]
  readonly hash: string
  /** Milliseconds since 1970: when it was made or last changed, as far as is known. */
  readonly writtenAt: number
}

export interface StuckCause {
  readonly pod: StuckPod
  readonly copy: string
  /** The same for all pods of one owner that are stuck for one reason. */
  readonly id: string
  /** `list`: the pod lacks the secret, which its service account has now. `late`: the secret came after the pod. */
  readonly kind: 'list' | 'late'
  /** Null when whoever owns the pod makes a better one; otherwise why that cannot be said. */
  readonly obstacle: string | null
  readonly message: string
}

/** Why a pod is stuck, as far as a copy is the cure; null when none is. */
export function causeOf(
  pod: StuckPod,
  copies: readonly PresentCopy[],
  account: AccountState | null,
): StuckCause | null {
  for (const copy of copies) {
    const isListed = pod.pullSecrets.includes(copy.name)
    const image = pod.images.find(
      (each) => knows(copy, each) && !(isListed && pod.absent.includes(each)),
    )
    if (image === undefined) continue
    const isLinked = account?.pullSecrets?.includes(copy.name) === true
    // The API server's time stamps are cut to seconds.
    if (isListed ? copy.writtenAt < pod.createdAt : !isLinked) continue
    const kind = isListed ? 'late' : 'list'
    const about = isListed
      ? `pull secret ${copy.name} came after this pod`
      : `this pod was made before its service account ${pod.account} named pull secret ${copy.name}`
    const obstacle = obstacleOf(pod, isListed ? null : account)
    return {
      pod,
      copy: copy.name,
      id: `${pod.owner?.uid ?? pod.uid}/${copy.name}/${copy.hash}`,
      kind,
      obstacle,
      message: `${about}, which knows the registry of ${image}${obstacle === null ? '; the pod has to be made again' : `; ${obstacle}`}`,
    }
  }
  return null
}

function knows({ keys }: PresentCopy, image: string): boolean {
  const parsed = parseReference(image)
  if (!parsed.ok) return false
  return createKeyMatcher(keys)(parsed.reference.domain, parsed.reference.path).length > 0
}

function obstacleOf({ owner, pullSecrets }: StuckPod, account: AccountState | null): string | null {
  if (owner === null || owner.kind === 'Node')
    return 'nobody makes it again: delete it and make it anew'
  // An evicted pod counts as a failure of its Job, which may be the last that it is allowed.
  if (owner.kind === 'Job')
    return `Job ${owner.name} would count an eviction as a failure: delete the pod`
  const own = pullSecrets.find((name) => account !== null && !account.pullSecrets?.includes(name))
  if (own === undefined) return null
  return `the service account's list is not used, because the pod's template names ${own}: add the secret there`
}
