/**
 * Finds pods that a pull secret reached too late. A pod's imagePullSecrets cannot change (core validation,
 * ValidatePodUpdate), so a pod that lacks a secret must be recreated; one that has it waits for the kubelet's backoff.
 */
import { controllerOf, recreateObstacle } from '../kube/pod-owner.ts'
import type { KubeObject, OwnerReference } from '../kube/object.ts'
import { createKeyMatcher } from '../credentials/docker-config-keys.ts'
import { waitingContainers } from '../decision/pod/waiting-containers.ts'
import { parseReference } from '../decision/reference/parse.ts'
import type { AccountState, ExistingSecret } from './objects.ts'
import type { WantedCopy } from './plan.ts'

export interface PodObject extends KubeObject {
  readonly spec?: {
    readonly serviceAccountName?: string
    readonly imagePullSecrets?: readonly { readonly name?: string }[]
  }
}

export interface StuckPod {
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly account: string
  /** The controller that recreates it; null when it has none. */
  readonly owner: OwnerReference | null
  /** The images that it waits for. */
  readonly images: readonly string[]
  /** The images that the registry reported as not found to an authorized kubelet: no other secret helps. */
  readonly absent: readonly string[]
  readonly pullSecrets: readonly string[]
  /** Milliseconds since 1970, to the second. */
  readonly createdAt: number
}

/** kubernetes, pkg/kubelet/images/types.go. */
const pullReasons: ReadonlySet<string> = new Set(['ErrImagePull', 'ImagePullBackOff'])

/** Returns null for a pod that waits for no image or is being deleted. */
export function readStuckPod(pod: PodObject): StuckPod | null {
  const { metadata, spec = {} } = pod
  const isDeleted = metadata.deletionTimestamp !== undefined
  // An image that is not the pod's belongs to an earlier state of it.
  const waiting = (isDeleted ? [] : waitingContainers(pod)).filter(
    ({ reason, image }) => pullReasons.has(reason) && image.field !== null,
  )
  if (waiting.length === 0) return null
  const { name, uid = '', resourceVersion = '' } = metadata
  return {
    name,
    uid,
    resourceVersion,
    account: spec.serviceAccountName ?? 'default',
    owner: controllerOf(metadata),
    images: waiting.map(({ image: { image } }) => image),
    absent: waiting.flatMap(({ image: { image }, message }) =>
      isNotFound(message) ? [image] : [],
    ),
    pullSecrets: (spec.imagePullSecrets ?? []).map((entry) => entry.name ?? ''),
    createdAt: Date.parse(metadata.creationTimestamp ?? '') || 0,
  }
}

/** The words of containerd and CRI-O for a 404. A registry that hides private images mentions access too. */
function isNotFound(message: string): boolean {
  return /not found|manifest unknown/i.test(message) && !/denied|auth|forbidden/i.test(message)
}

/** A copy that is up to date in the pod's namespace. */
export interface PresentCopy {
  readonly name: string
  readonly keys: readonly string[]
  readonly hash: string
  /** When its content was last written, in milliseconds since 1970; 0 if unknown. */
  readonly writtenAt: number
}

export interface StuckCause {
  readonly pod: StuckPod
  readonly copy: string
  /** The same for all pods of one owner that are stuck for the same reason. */
  readonly id: string
  /** `list`: the pod lacks the secret that its service account has now. `late`: the secret is newer than the pod. */
  readonly kind: 'list' | 'late'
  /** Why recreating the pod would not help; null if it would. */
  readonly obstacle: string | null
  readonly message: string
}

/** Returns why the pod is stuck if one of the copies would help; null if none would. */
export function findStuckCause(
  pod: StuckPod,
  copies: readonly PresentCopy[],
  account: AccountState | null,
): StuckCause | null {
  for (const copy of copies) {
    const isListed = pod.pullSecrets.includes(copy.name)
    const image = pod.images.find(
      (each) => isFor(copy, each) && !(isListed && pod.absent.includes(each)),
    )
    if (image === undefined) continue
    const isLinked = account?.pullSecrets?.includes(copy.name) === true
    // The API server truncates timestamps to seconds.
    if (isListed ? copy.writtenAt < pod.createdAt : !isLinked) continue
    const kind = isListed ? 'late' : 'list'
    const about = isListed
      ? `pull secret ${copy.name} is newer than this pod`
      : `this pod is older than the link of pull secret ${copy.name} to its service account ${pod.account}`
    const obstacle = obstacleOf(pod, isListed ? null : account)
    return {
      pod,
      copy: copy.name,
      id: `${pod.owner?.uid ?? pod.uid}/${copy.name}/${copy.hash}`,
      kind,
      obstacle,
      message: `${about}, and the secret has credentials for ${image}; ${obstacle ?? 'the pod must be recreated'}`,
    }
  }
  return null
}

function isFor({ keys }: PresentCopy, image: string): boolean {
  const parsed = parseReference(image)
  if (!parsed.ok) return false
  return createKeyMatcher(keys)(parsed.reference.domain, parsed.reference.path).length > 0
}

function obstacleOf({ owner, pullSecrets }: StuckPod, account: AccountState | null): string | null {
  const obstacle = recreateObstacle(owner)
  if (obstacle !== null || account === null) return obstacle
  const fromTemplate = secretOfTemplate(pullSecrets, account.pullSecrets ?? [])
  if (fromTemplate === undefined) return null
  return `the pod's template names ${fromTemplate}, so the service account's list is not used: add the secret to the template`
}

/** Returns a secret that the pod's template names. A list that the API server copied from the account has no other names. */
export function secretOfTemplate(
  podSecrets: readonly string[],
  accountSecrets: readonly string[],
): string | undefined {
  return podSecrets.find((name) => !accountSecrets.includes(name))
}

/** Returns the copies that are up to date. */
export function presentCopies(
  wanted: readonly WantedCopy[],
  secrets: ReadonlyMap<string, ExistingSecret>,
): PresentCopy[] {
  return wanted.flatMap(({ settings: { name }, content }) => {
    const secret = secrets.get(name)
    if (content?.kind !== 'valid' || secret?.kind !== 'copy' || secret.hash !== content.hash)
      return []
    return [{ name, keys: content.keys, hash: content.hash, writtenAt: secret.writtenAt }]
  })
}
