import type { FailedOutcome } from '../../decision/resolve/manifest-source.ts'
import type { RequestFailure } from './network-error.ts'

/**
 * Thrown when a registry does not do what a copy needs. The caller of the copy catches it and reports it for that image.
 * The message contains no secret, and no text from the registry except its error code.
 */
export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly outcome: FailedOutcome
  /** The HTTP status; 0 without a response. */
  readonly status: number
  /** The registry's error code, such as `NAME_UNKNOWN`; null without one. */
  readonly code: string | null

  constructor(
    { outcome, detail }: Pick<RequestFailure, 'outcome' | 'detail'>,
    { status = 0, code = null }: { readonly status?: number; readonly code?: string | null } = {},
  ) {
    super(detail)
    this.outcome = outcome
    this.status = status
    this.code = code
  }
}
