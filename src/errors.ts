/**
 * Every way in which Berth can fail, as a closed list. `docs/errors.md` has a row for each, and a test compares the two.
 * Expected outcomes (an absent image, a pattern that matches nothing) are values and never appear here.
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
  'nodes-inexpressible',
  'nodes-unwritable',
  'nodes-undetected',
  'nodes-changed',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/** A failure with a code from the closed list. The message names the thing, the rule and the fix, and holds no secret. */
export class BerthError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BerthError'
    this.code = code
  }
}
