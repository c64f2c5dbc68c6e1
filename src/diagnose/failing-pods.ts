/** Tracks which pods wait for an image, since when, and what was reported about them. Pure. */
import { classify } from './rules/classify.ts'
import type { Rule, RuleId } from './rules/table.ts'
import { pullFailures, type PullFailure } from './pull-failure.ts'
import type { PullVerdict } from './verdict.ts'
import type { KubeObject } from '../kube/object.ts'
import { hasEnded } from '../kube/pod-status.ts'
import { member } from '../json/json.ts'

/** A pod with failing pulls, reduced to the fields that a verdict needs, so that the watch cache stays small. */
export interface FailingPod {
  readonly pod: KubeObject
  readonly failures: readonly PullFailure[]
}

export interface TrackedPod extends FailingPod {
  /** When a pull of the pod was first seen to fail, by the clock that `trackPod` is given. */
  readonly since: number
  /** The latest verdicts, by container. */
  readonly verdicts: Map<string, TrackedVerdict>
  /** Rules that an Event has reported. */
  readonly reported: Set<RuleId>
}

export interface TrackedVerdict {
  readonly failure: PullFailure
  readonly verdict: PullVerdict
  readonly at: number
}

/** Returns null for a pod without failing pulls and for a pod that is terminating or has ended. */
export function readFailingPod(pod: KubeObject): FailingPod | null {
  if (pod.metadata.deletionTimestamp !== undefined || hasEnded(pod)) return null
  const failures = pullFailures(pod, [])
  if (failures.length === 0) return null
  const { name, namespace, uid } = pod.metadata
  const spec = member(pod, 'spec')
  const reduced = {
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid: uid ?? '' },
    spec: {
      serviceAccountName: member(spec, 'serviceAccountName'),
      imagePullSecrets: member(spec, 'imagePullSecrets'),
    },
  }
  return { pod: reduced, failures }
}

/** Returns the pod's present state, with what was known about it if the UID is the same; null for a pod that does not fail. */
export function trackPod(
  before: TrackedPod | null,
  now: FailingPod | null,
  time: number,
): TrackedPod | null {
  if (now === null) return null
  if (before === null || before.pod.metadata.uid !== now.pod.metadata.uid)
    return { ...now, since: time, verdicts: new Map(), reported: new Set() }
  const failures = now.failures.map((failure) => {
    const earlier = before.failures.find(
      ({ container, image }) => container === failure.container && image === failure.image,
    )
    // Before Kubernetes 1.31, a pod in ImagePullBackOff does not repeat the cause.
    return earlier !== undefined && ruleOf(failure).certainty === 'unknown' ? earlier : failure
  })
  return { ...before, pod: now.pod, failures }
}

/** True if both have the same cause in other words: `ErrImagePull` and `ImagePullBackOff` alternate. */
export function isSameFailure(one: PullFailure, other: PullFailure): boolean {
  return one.image === other.image && ruleOf(one) === ruleOf(other)
}

/** A pass compares the failures of all pods, and matching one message against all rules takes a tenth of a millisecond. */
const rules = new WeakMap<PullFailure, Rule>()

function ruleOf(failure: PullFailure): Rule {
  const known = rules.get(failure)
  if (known !== undefined) return known
  const { rule } = classify(failure.message)
  rules.set(failure, rule)
  return rule
}
