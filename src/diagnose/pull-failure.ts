/** Finds a pod's failing image pulls in its status and its events. Reads raw objects. Pure. */
import { waitingContainers } from '../decision/pod/waiting-containers.ts'
import { member, textMember } from '../json/json.ts'
import { classify } from './rules/classify.ts'
import type { Rule } from './rules/table.ts'

/** An image that the kubelet cannot pull for a container. */
export interface PullFailure {
  readonly namespace: string
  readonly pod: string
  /** Empty for the image of the pod sandbox. */
  readonly container: string
  readonly image: string
  /** The image field: `containers/web`, `volumes/model`. Null if the pod has none with this image. */
  readonly field: string | null
  /** Null before the pod is scheduled. */
  readonly node: string | null
  /** The kubelet's reason: `ErrImagePull`, `InvalidImageName`, `FailedCreatePodSandBox` … */
  readonly reason: string
  readonly message: string
}

/** A Warning event about a pod. */
export interface PodEvent {
  readonly reason: string
  readonly message: string
}

/** Reasons of a waiting container that are about its image (k8s.io/kubernetes v1.36, pkg/kubelet/images/types.go and pkg/kubelet/container/sync_result.go). */
const pullReasons: ReadonlySet<string> = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'ErrImageNeverPull',
  'InvalidImageName',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
])

/** Returns the failing pulls. `events` are the pod's, oldest first: kubelets before 1.31 report the cause only there. */
export function pullFailures(pod: unknown, events: readonly PodEvent[]): PullFailure[] {
  const metadata = member(pod, 'metadata')
  const node = textMember(member(pod, 'spec'), 'nodeName')
  const podFields = {
    namespace: textMember(metadata, 'namespace'),
    pod: textMember(metadata, 'name'),
    node: node === '' ? null : node,
  }
  const waiting = waitingContainers(pod).flatMap(({ name: container, reason, message, image }) => {
    if (!pullReasons.has(reason) && !isPullError(reason) && !isOfImage(reason, message)) return []
    const texts = [
      message === '' ? reason : `${reason}: ${message}`,
      ...eventTexts(events, image.image),
    ]
    return [{ ...podFields, container, ...image, reason, message: mostSpecific(texts) }]
  })
  const sandbox = events.findLast(
    ({ reason, message }) =>
      reason === 'FailedCreatePodSandBox' && isOfSandboxImage(classify(message).rule),
  )
  if (waiting.length > 0 || sandbox === undefined) return waiting
  return [{ ...podFields, container: '', image: '', field: null, ...sandbox }]
}

/** The kubelet puts an error from before the pull, such as an unreadable pull secret, into the reason. */
function isPullError(reason: string): boolean {
  return reason.includes(' ') && classify(reason).rule.certainty !== 'unknown'
}

function isOfSandboxImage({ topic, cause }: Rule): boolean {
  return topic === 'sandbox-image' || cause === 'image-store-damaged'
}

/** The runtime can lose an image between its pull and the creation of the container (pkg/kubelet/kuberuntime/kuberuntime_container.go). */
function isOfImage(reason: string, message: string): boolean {
  return reason === 'CreateContainerError' && classify(message).rule.isOfCreation === true
}

/** Messages of events about the image, latest first. */
function eventTexts(events: readonly PodEvent[], image: string): string[] {
  return events
    .map(({ message }) => message)
    .filter((message) => message.includes(`"${image}"`))
    .toReversed()
}

/**
 * The first text with a cause that is about the image. The kubelet's own rate limit is not: it hides what earlier pulls
 * met, so it counts only if no other text has a cause.
 */
function mostSpecific(texts: readonly string[]): string {
  const classified = texts.map((text) => ({ text, rule: classify(text).rule }))
  const found =
    classified.find(({ rule }) => !rule.saysNothingOfImage) ??
    classified.find(({ rule }) => rule.certainty !== 'unknown')
  return found?.text ?? texts[0] ?? ''
}
