/** Finds the pull secrets that Berth adds to a pod. */
import { member } from '../../json/json.ts'
import type { Reference } from '../reference/reference.ts'

export interface PullSecretRule {
  readonly secret: string
  /** Returns true if a kubelet would use this secret for the image. */
  matches(image: Reference): boolean
}

/**
 * Returns the pull secrets that the final images need and the pod does not list, in the order of the rules. The pod already
 * lists those of its service account: the API server copies them before it calls webhooks.
 */
export function missingPullSecrets(
  rules: readonly PullSecretRule[],
  pod: unknown,
  images: readonly Reference[],
): string[] {
  const listed = new Set(listedPullSecrets(pod))
  const needed = rules
    .filter((rule) => images.some((image) => rule.matches(image)))
    .map(({ secret }) => secret)
  return [...new Set(needed)].filter((secret) => !listed.has(secret))
}

/** Returns the names in `imagePullSecrets` of the pod, without duplicates. */
export function listedPullSecrets(pod: unknown): string[] {
  const list = member(member(pod, 'spec'), 'imagePullSecrets')
  const names = Array.isArray(list) ? list.map((entry: unknown) => member(entry, 'name')) : []
  return [...new Set(names.filter((name) => typeof name === 'string'))]
}
