import pLimit from 'p-limit'

/** Runs work as soon as fewer than the maximum of it is running. */
export type Limit = <Result>(work: () => Promise<Result>) => Promise<Result>

export function createLimit(max: number): Limit {
  return pLimit(max)
}
