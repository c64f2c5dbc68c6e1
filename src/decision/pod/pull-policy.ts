import type { Reference } from '../reference/reference.ts'

export interface PullPolicyRule {
  readonly images: readonly { matches(reference: Reference): boolean }[]
  readonly set: string
}

/** The policy that the first matching rule sets for the final image, else what the pod has: the API server's default stays. */
export function pullPolicyFor(
  rules: readonly PullPolicyRule[],
  image: Reference,
  current: string | undefined,
): string | undefined {
  return (
    rules.find(({ images }) => images.some((pattern) => pattern.matches(image)))?.set ?? current
  )
}
