/** Which pods are without an image, what of them is kept, and since when. Pure. */
import { classify } from './rules/classify.ts'
import { pullFailures, type PullFailure } from './pull-failure.ts'
import type { PullVerdict } from './verdict.ts'
import type { KubeObject } from '../kube/object.ts'
import { member } from '../json/json.ts'

/** Of a pod only what a verdict takes; nothing of one whose images come. */
export interface FailingPod {
  readonly pod: KubeObject
  readonly failures: readonly PullFailure[]
}

export interface Tracked extends FailingPod {
  /** When it was first seen without an image, by the clock that `follow` is given. */
  readonly since: number
  /** By container, as far as it has been judged. */
  readonly verdicts: Map<string, Judgement>
  /** Rules of the table that an Event has told of. */
  readonly told: Set<string>
}

export interface Judgement {
  readonly of: PullFailure
  readonly verdict: PullVerdict
  readonly at: number
}

/** Null for a pod that waits for no image, or is on its way out. */
export function readFailingPod(pod: KubeObject): FailingPod | null {
  if (pod.metadata.deletionTimestamp !== undefined) return null
  const failures = pullFailures(pod, [])
  if (failures.length === 0) return null
  const { name, namespace, uid } = pod.metadata
  const spec = member(pod, 'spec')
  const kept = {
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid: uid ?? '' },
    spec: {
      serviceAccountName: member(spec, 'serviceAccountName'),
      imagePullSecrets: member(spec, 'imagePullSecrets'),
    },
  }
  return { pod: kept, failures }
}

/** The pod as it is now, with what is known from before if it is the same one. */
export function follow(before: Tracked | undefined, now: FailingPod, time: number): Tracked {
  if (before === undefined || before.pod.metadata.uid !== now.pod.metadata.uid)
    return { ...now, since: time, verdicts: new Map(), told: new Set() }
  const failures = now.failures.map((failure) => {
    const earlier = before.failures.find(
      ({ container, image }) => container === failure.container && image === failure.image,
    )
    // Before Kubernetes 1.31 a pod that waits for the next try says only that it does.
    return earlier !== undefined && ruleOf(failure) === 'D99' ? earlier : failure
  })
  return { ...before, pod: now.pod, failures }
}

/** Whether it is the same failure in other words: `ErrImagePull` and `ImagePullBackOff` take turns. */
export function isSame(one: PullFailure, other: PullFailure): boolean {
  return one.image === other.image && ruleOf(one) === ruleOf(other)
}

function ruleOf({ message }: PullFailure): string {
  return classify(message).cause.rule
}
