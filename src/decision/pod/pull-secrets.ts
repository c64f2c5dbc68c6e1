import type { Reference } from '../reference/reference.ts'
import { member } from '../../json/json.ts'

export interface PullSecretRule {
  readonly secret: string
  /** Whether a kubelet would try this secret for the image. */
  matches(image: Reference): boolean
}

/**
 * Pull secrets that the final images need and the pod has not got, each once, in the order of the rules. The pod's own
 * stay where they are, as do the service account's, which the API server has copied into the pod before webhooks run.
 */
export function missingPullSecrets(
  rules: readonly PullSecretRule[],
  pod: unknown,
  images: readonly Reference[],
): string[] {
  const present = new Set(listedPullSecrets(pod))
  const needed = rules
    .filter((rule) => images.some((image) => rule.matches(image)))
    .map(({ secret }) => secret)
  return [...new Set(needed)].filter((secret) => !present.has(secret))
}

/** The names in the pod's list, each once. */
export function listedPullSecrets(pod: unknown): string[] {
  const list = member(member(pod, 'spec'), 'imagePullSecrets')
  const names = Array.isArray(list) ? list.map((entry: unknown) => member(entry, 'name')) : []
  return [...new Set(names.filter((name) => typeof name === 'string'))]
}
