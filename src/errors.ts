/**
 * The codes of all failures. docs/errors.md has a row for each; a test compares the two. Expected outcomes, such as an absent
 * image, are values and have no code.
 */
export const errorCodes = [
  'invalid-reference',
  'usage',
  'config-unreadable',
  'config-invalid',
  'certificate-invalid',
  'certificate-unwritable',
  'credentials-invalid',
  'listen-failed',
  'kubeconfig-invalid',
  'cluster-unreachable',
  'cluster-forbidden',
  'cluster-refused',
  'manifest-invalid',
  'lock-invalid',
  'layout-invalid',
  'file-unwritable',
  'nodes-inexpressible',
  'nodes-unwritable',
  'nodes-undetected',
  'nodes-changed',
  'prune-refused',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/** A failure with a code. The message says what failed, why, and how to fix it, and has no secret in it. */
export class BerthError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BerthError'
    this.code = code
  }
}
