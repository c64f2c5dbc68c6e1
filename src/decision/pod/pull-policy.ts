/** Sets `imagePullPolicy` by the rules of the config. */
import type { Reference } from '../reference/reference.ts'

export interface PullPolicyRule {
  readonly images: readonly { matches(reference: Reference): boolean }[]
  readonly set: string
}

/** Returns the policy of the first rule that matches the final image, or the current policy. */
export function pullPolicyFor(
  rules: readonly PullPolicyRule[],
  image: Reference,
  current: string | undefined,
): string | undefined {
  return (
    rules.find(({ images }) => images.some((pattern) => pattern.matches(image)))?.set ?? current
  )
}
