/** Conditions on the pod of an image: the `when` of rows and rules. Pure. */
import { type LabelSelector, matchesSelector } from '../labels/label-selector.ts'
import type { PodContext } from './pod-context.ts'

/** A glob over whole names. */
export interface NameGlob {
  readonly text: string
  readonly matches: (name: string) => boolean
}

/** A compiled `when`. All parts must hold; a part that is null always holds. */
export interface PodCondition {
  /** Describes the condition for people. Equal conditions have the same text. */
  readonly text: string
  readonly namespaces: readonly NameGlob[] | null
  readonly pods: LabelSelector | null
  /** `GROUP/KIND`, or `GROUP/*`. One of the pod's owners must match one of them. */
  readonly owners: readonly string[] | null
}

/** `unknown`: it depends on a part of the pod that is not known. */
export type ConditionResult = 'holds' | 'fails' | 'unknown'

/** Tests a condition. Null, for a rule without `when`, always holds. */
export function testCondition(condition: PodCondition | null, pod: PodContext): ConditionResult {
  if (condition === null) return 'holds'
  const { namespaces, pods, owners } = condition
  const { namespace, labels } = pod
  let result: ConditionResult = 'holds'
  if (namespaces !== null) {
    if (namespace === null) result = 'unknown'
    else if (!namespaces.some(({ matches }) => matches(namespace))) return 'fails'
  }
  if (pods !== null) {
    if (labels === null) result = 'unknown'
    else if (!matchesSelector(pods, labels)) return 'fails'
  }
  if (owners !== null) {
    if (pod.owners === null) result = 'unknown'
    else if (!pod.owners.some((owner) => owners.some((each) => matchesOwner(each, owner))))
      return 'fails'
  }
  return result
}

/** A part of a pod that a condition can depend on. */
export type UnknownPart = 'namespace' | 'labels' | 'owners'

/** Returns the parts of the pod that decide whether the condition holds, and are not known. Empty if it holds or fails. */
export function unknownParts(condition: PodCondition | null, pod: PodContext): UnknownPart[] {
  if (condition === null || testCondition(condition, pod) !== 'unknown') return []
  const { namespaces, pods, owners } = condition
  const used = { namespace: namespaces, labels: pods, owners }
  return (['namespace', 'labels', 'owners'] as const).filter(
    (part) => used[part] !== null && pod[part] === null,
  )
}

/** Returns true if a condition holds, and false if it fails or is not known to hold. */
export function conditionHolds(condition: PodCondition | null, pod: PodContext): boolean {
  return testCondition(condition, pod) === 'holds'
}

/**
 * Returns true if a condition names an owner of another condition, or a label of it if that condition has a label selector:
 * then its owner is a kind of Kubernetes, such as apps/StatefulSet, which many other pods have.
 */
export function namesSamePods(own: PodCondition | null, other: PodCondition | null): boolean {
  if (own === null || other === null) return false
  if (other.pods !== null) {
    const labels = new Set(own.pods === null ? [] : labelsOf(own.pods))
    return labelsOf(other.pods).some((label) => labels.has(label))
  }
  return (own.owners ?? []).some((owner) =>
    (other.owners ?? []).some((each) => matchesOwner(owner, each)),
  )
}

function labelsOf({ matchLabels, matchExpressions }: LabelSelector): string[] {
  return [...Object.keys(matchLabels), ...matchExpressions.map(({ key }) => key)]
}

function matchesOwner(pattern: string, owner: string): boolean {
  return pattern.endsWith('/*') ? owner.startsWith(pattern.slice(0, -1)) : owner === pattern
}
