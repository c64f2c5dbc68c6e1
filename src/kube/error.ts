/** Failures of requests to the API server. */
import { BerthError } from '../errors.ts'

/** The API server answered with a failure, or not at all. */
export class KubeError extends BerthError {
  /** The HTTP status; null without an answer. */
  readonly status: number | null
  /** `metav1.Status.reason`: `Conflict`, `AlreadyExists`, `Invalid` …; empty when the answer has none. */
  readonly reason: string
  /** How long the API server asks to wait before a retry, in milliseconds; 0 if it does not say. */
  readonly retryAfterMs: number

  constructor(
    status: number | null,
    reason: string,
    message: string,
    { retryAfterMs = 0, ...options }: ErrorOptions & { readonly retryAfterMs?: number } = {},
  ) {
    super(codeOf(status), message, options)
    this.name = 'KubeError'
    this.status = status
    this.reason = reason
    this.retryAfterMs = retryAfterMs
  }
}

function codeOf(
  status: number | null,
): 'cluster-unreachable' | 'cluster-forbidden' | 'cluster-refused' {
  if (status === null || status === 429 || status >= 500) return 'cluster-unreachable'
  return status === 401 || status === 403 ? 'cluster-forbidden' : 'cluster-refused'
}

/** Returns whether the API server answered with one of these statuses: 409 for a conflict or an existing object, 404, 403 … */
export function hasStatus(error: unknown, ...statuses: readonly number[]): error is KubeError {
  return error instanceof KubeError && error.status !== null && statuses.includes(error.status)
}

/** Returns whether the account lacks a right. A quota or a policy refuses with 403 too (apiserver, responsewriters/errors.go). */
export function isMissingRight(error: unknown): boolean {
  return hasStatus(error, 403) && / cannot \w+ resource /.test(error.message)
}
