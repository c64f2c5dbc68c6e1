import type { Reference } from '../decision/reference/reference.ts'

/** An image to copy, and where to. */
export interface ImagePair {
  readonly source: Reference
  readonly destination: Reference
  /** The name of the row that selected the destination; null if the user named both. */
  readonly row: string | null
}
