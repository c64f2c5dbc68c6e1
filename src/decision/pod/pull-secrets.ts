/** Finds the pull secrets that Berth adds to a pod. */
import { member } from '../../json/json.ts'
import { conditionHolds, type PodCondition } from '../fallback/pod-condition.ts'
import type { PodContext } from '../fallback/pod-context.ts'
import type { Reference } from '../reference/reference.ts'
import { isLeft, type Resolution } from '../resolve/resolution.ts'

export interface PullSecretRule {
  readonly secret: string
  /** Which pods the rule is for; null for every pod. */
  readonly when?: PodCondition | null
  /** Returns true if a kubelet would use this secret for the image. */
  matches(image: Reference): boolean
}

/** A pod that may need pull secrets. */
export interface PodToPull {
  readonly context: PodContext
  /** The raw pod, for the secrets that it lists. */
  readonly pod: unknown
  /** The final images that may need a secret. */
  readonly images: readonly Reference[]
}

/**
 * Returns the pull secrets that the final images need and the pod does not list, in the order of the rules. The pod already
 * lists those of its service account: the API server copies them before it calls webhooks.
 */
export function missingPullSecrets(
  rules: readonly PullSecretRule[],
  { context, pod, images }: PodToPull,
): string[] {
  const listed = new Set(listedPullSecrets(pod))
  const needed = rules
    .filter((rule) => images.some((image) => rule.matches(image)))
    .filter(({ when }) => conditionHolds(when ?? null, context))
    .map(({ secret }) => secret)
  return [...new Set(needed)].filter((secret) => !listed.has(secret))
}

/** Returns the images whose pull secrets Berth adds: not those that stay exactly as they are. */
export function imagesToPull(resolutions: readonly (Resolution | null)[]): Reference[] {
  return resolutions.flatMap((resolution) =>
    resolution === null || isLeft(resolution) ? [] : [resolution.chosen],
  )
}

/** Returns the names in `imagePullSecrets` of the pod, without duplicates. */
export function listedPullSecrets(pod: unknown): string[] {
  const list = member(member(pod, 'spec'), 'imagePullSecrets')
  const names = Array.isArray(list) ? list.map((entry: unknown) => member(entry, 'name')) : []
  return [...new Set(names.filter((name) => typeof name === 'string'))]
}
