/**
 * Answers reviews that are too large to be read, or for which there is no memory. An HTTP error would admit the pod under
 * `failurePolicy: Ignore`, so that a large pod got past rows that deny.
 */
import { unchanged, writeReview } from '../admission/admission-response.ts'
import { HttpError } from './error-response.ts'

/** The error for a body that is not read, with what its first bytes say about the review. */
export class UnreadReviewError extends HttpError {
  /** The uid of the review, which an answer needs; null if the first bytes are not those that an API server sends. */
  readonly uid: string | null

  constructor(statusCode: number, message: string, head: Buffer | undefined) {
    super(statusCode, message)
    this.uid = uidOf(head)
  }
}

/** An API server writes the fields of AdmissionReview and AdmissionRequest in the order of their definition. */
const reviewHead =
  /^\{(?=[^{}]*"kind":"AdmissionReview")(?=[^{}]*"apiVersion":"admission\.k8s\.io\/v1")[^{}]*"request":\{"uid":"([\w-]{1,128})"/

const headBytes = 512

function uidOf(head: Buffer | undefined): string | null {
  return reviewHead.exec(head?.toString('latin1', 0, headBytes) ?? '')?.[1] ?? null
}

/** Returns the answer that denies the pod of a review that was not read; null if the review has no uid to answer. */
export function denyUnread({ uid, message, statusCode }: UnreadReviewError): string | null {
  if (uid === null) return null
  const fix = statusCode === 503 ? 'try again' : 'make the pod smaller'
  const denied = `berth: ${message}, so its images cannot be checked, and a rule of the config denies images; ${fix}`
  return writeReview(uid, { ...unchanged, denied })
}
