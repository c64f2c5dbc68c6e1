/** Sets `imagePullPolicy` by the rules of the config. */
import { conditionHolds, type PodCondition } from '../fallback/pod-condition.ts'
import type { PodContext } from '../fallback/pod-context.ts'
import { canonicalReference } from '../fallback/registry-aliases.ts'
import { parseReference } from '../reference/parse.ts'
import type { Reference } from '../reference/reference.ts'
import type { Site } from './sites.ts'

/** A site in an update, as it is in the request and as it was before. */
interface UpdatedPolicy {
  readonly site: Site
  /** Undefined for a new pod or a new container. */
  readonly old: Site | undefined
}

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

/**
 * Returns the policy of a site in an update: the one before the update if a rule has set it, else the one in the request. A
 * manifest that is applied again has the policy that the rule has replaced, and the API server rejects a change of it.
 */
export function policyInUpdate(
  rules: readonly PullPolicyRule[],
  { site: { pullPolicy }, old }: UpdatedPolicy,
  pod: PodContext,
): string | undefined {
  if (old === undefined || old.pullPolicy === pullPolicy) return pullPolicy
  const running = parseReference(old.image)
  const isSetByRule = running.ok && pullPolicyFor(rules, running.reference, pod) === old.pullPolicy
  return isSetByRule ? old.pullPolicy : pullPolicy
}
