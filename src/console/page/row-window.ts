/** Finds the rows of a scrolled table that are in view. Pure. */

export interface RowWindowOptions {
  readonly count: number
  /** Pixels. */
  readonly rowHeight: number
  /** How far the table is scrolled, in pixels. */
  readonly top: number
  /** The visible height, in pixels. */
  readonly height: number
}

/** Rows above and below the view, so that fast scrolling shows no gaps. */
const margin = 8

/** Returns the first row, and the one after the last. */
export function windowOf({ count, rowHeight, top, height }: RowWindowOptions): {
  readonly first: number
  readonly last: number
} {
  const first = Math.max(0, Math.min(count, Math.floor(top / rowHeight)) - margin)
  return { first, last: Math.min(count, Math.ceil((top + height) / rowHeight) + margin) }
}
