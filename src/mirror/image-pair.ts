import type { Reference } from '../decision/reference/reference.ts'

/** One thing to copy. */
export interface ImagePair {
  readonly source: Reference
  readonly destination: Reference
  /** The row of the table that decided; null for a pair that was given as such. */
  readonly row: string | null
}
