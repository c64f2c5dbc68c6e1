/** The revision of a pod: the pods that one controller creates from one template. */
import { member, objectsMember, textMember } from '../../json/json.ts'
import { parseReference } from '../reference/parse.ts'
import { maxImages } from './decide-pod.ts'
import { readRecords } from './images-annotation.ts'
import { readLabels } from './pod-context.ts'

export interface Revision {
  readonly namespace: string
  /** The UID of the controller. */
  readonly controller: string
  /** Selects the pods of the revision by the labels that they have in common: `pod-template-hash=5d9c`. */
  readonly selector: string
}

/** A digest that the pods of a revision claim to run for one image. */
export interface SiblingDigest {
  readonly digest: string
  /** The name of the oldest pod with this digest; null for a pod that has only been admitted. */
  readonly pod: string | null
}

/**
 * The labels that controllers give to the pods of one template: Deployments, Argo Rollouts, StatefulSets and DaemonSets, and
 * Jobs (before Kubernetes 1.27 without the prefix).
 */
const revisionLabels = [
  'pod-template-hash',
  'rollouts-pod-template-hash',
  'controller-revision-hash',
  'batch.kubernetes.io/controller-uid',
  'controller-uid',
]

/** A label value (apimachinery, validation.go), so that it can be part of a selector. The API server validates pods later. */
const labelValue = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

/** UIDs of the API server have 36 characters. */
const maxUidLength = 64

/** Distinct digests of one image: two come from a moved tag, and more are hardly ever seen. */
const maxDigests = 3

/** Returns the revision of a pod; null if it has no controller, or if its controller does not label the pods of a template. */
export function revisionOf(pod: unknown, namespace: string): Revision | null {
  const controller = controllerUid(pod)
  if (controller === '' || controller.length > maxUidLength || namespace === '') return null
  const labels = readLabels(pod)
  // All of them: a template may contain one that was copied from a pod, and that never changes.
  const requirements = revisionLabels.flatMap((label) => {
    const value = labels[label]
    return typeof value === 'string' && labelValue.test(value) ? [`${label}=${value}`] : []
  })
  return requirements.length === 0
    ? null
    : { namespace, controller, selector: requirements.join(',') }
}

/**
 * Returns the digests that the pods of a revision claim to run in their records, by the image that they request, the one of the
 * oldest pod first.
 */
export function digestsOf(pods: readonly unknown[]): ReadonlyMap<string, readonly SiblingDigest[]> {
  const digests = new Map<string, SiblingDigest[]>()
  for (const pod of pods.toSorted(byAge)) {
    for (const { from, to } of readRecords(pod).values()) {
      const digest = addedDigest(from, to)
      const known = digests.get(from) ?? []
      if (digest === null || known.length >= maxDigests) continue
      if (known.length === 0 && digests.size >= maxImages) continue
      if (known.every((each) => each.digest !== digest))
        digests.set(from, [...known, { digest, pod: nameOf(pod) }])
    }
  }
  return digests
}

/** Returns the UID of the controller of a pod; empty if it has none. */
export function controllerUid(pod: unknown): string {
  const owners = objectsMember(member(pod, 'metadata'), 'ownerReferences')
  return textMember(
    owners.find(({ controller }) => controller === true),
    'uid',
  )
}

/** Returns the digest that Berth has added to an image; null if the image had one, or still has none. */
function addedDigest(from: string, to: string): string | null {
  const original = parseReference(from)
  const image = parseReference(to)
  return original.ok && image.ok && original.reference.digest === null
    ? image.reference.digest
    : null
}

/** Pods of the same second are in the order of their names, so that all replicas of the webhook choose the same one. */
function byAge(one: unknown, other: unknown): number {
  const keyOf = (pod: unknown) =>
    `${textMember(member(pod, 'metadata'), 'creationTimestamp')} ${nameOf(pod)}`
  return keyOf(one) < keyOf(other) ? -1 : 1
}

function nameOf(pod: unknown): string {
  return textMember(member(pod, 'metadata'), 'name')
}
