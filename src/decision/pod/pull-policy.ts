/** Sets `imagePullPolicy` by the rules of the config. */
import { conditionHolds, type PodCondition } from '../fallback/pod-condition.ts'
import type { PodContext } from '../fallback/pod-context.ts'
import { canonicalReference } from '../fallback/registry-aliases.ts'
import type { Reference } from '../reference/reference.ts'

export interface PullPolicyRule {
  readonly images: readonly { matches(reference: Reference): boolean }[]
  /** Which pods the rule is for; null for every pod. */
  readonly when?: PodCondition | null
  readonly set: string
}

/** Returns the policy of the first rule that matches the final image of a pod; undefined if none does. */
export function pullPolicyFor(
  rules: readonly PullPolicyRule[],
  image: Reference,
  pod: PodContext,
): string | undefined {
  const canonical = canonicalReference(image)
  return rules.find(
    ({ images, when }) =>
      images.some((pattern) => pattern.matches(canonical)) && conditionHolds(when ?? null, pod),
  )?.set
}
