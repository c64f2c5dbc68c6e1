import pLimit from 'p-limit'

/** Runs work, but never more of it at once than was said when it was made. */
export type Limit = <Result>(work: () => Promise<Result>) => Promise<Result>

export function createLimit(atOnce: number): Limit {
  return pLimit(atOnce)
}
