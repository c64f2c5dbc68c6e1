import type { FailedOutcome } from '../../decision/resolve/manifest-source.ts'
import type { RequestFailure } from './network-error.ts'

/**
 * Why a registry did not do what copying needs. Thrown inside one copy, and caught where the copy ends: there it
 * becomes a line of the report. The message holds no secret and no text of the registry's own.
 */
export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly outcome: FailedOutcome
  /** 0 when there was no answer. */
  readonly status: number
  /** The registry's own word, such as `NAME_UNKNOWN`; null when it said none. */
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
