import { BerthError } from '../errors.ts'

/** An answer of the API server that is no success, or no answer at all. Commands let it pass: it has a code of the closed list. */
export class KubeError extends BerthError {
  /** HTTP status; null when there was no answer. */
  readonly status: number | null
  /** `metav1.Status.reason`: `Conflict`, `AlreadyExists`, `Invalid` …; empty when there was none. */
  readonly reason: string

  constructor(status: number | null, reason: string, message: string, options?: ErrorOptions) {
    super(codeOf(status), message, options)
    this.name = 'KubeError'
    this.status = status
    this.reason = reason
  }
}

function codeOf(
  status: number | null,
): 'cluster-unreachable' | 'cluster-forbidden' | 'cluster-refused' {
  if (status === null || status === 429 || status >= 500) return 'cluster-unreachable'
  return status === 401 || status === 403 ? 'cluster-forbidden' : 'cluster-refused'
}

/** Whether the API server answered with this status: 409 for a conflict or something that is there already, 404, 403 … */
export function hasStatus(error: unknown, ...statuses: readonly number[]): error is KubeError {
  return error instanceof KubeError && error.status !== null && statuses.includes(error.status)
}
