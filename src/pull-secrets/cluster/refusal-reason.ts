import { KubeError } from '../../kube/error.ts'

/** Statuses that pass by themselves: the object changed or is gone, or the API server is busy. */
const passing: ReadonlySet<number> = new Set([404, 408, 409, 429])

/**
 * Returns why the API server refuses a write, for people: a quota, a policy, a missing right. Returns null for a failure that
 * may pass without a change to the cluster.
 */
export function refusalReason(error: unknown): string | null {
  if (!(error instanceof KubeError) || error.status === null) return null
  const { status, message } = error
  if (passing.has(status)) return null
  // The namespace is on its way out (kubernetes, plugin/pkg/admission/namespace/lifecycle).
  if (message.includes('because it is being terminated')) return null
  // Of the failures of the server, only a webhook that does not answer is about the object.
  if (status >= 500 && !message.includes('webhook')) return null
  return message
}
