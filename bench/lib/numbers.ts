/** Statistics, and the format of numbers in reports. */

/** The median, which one disturbed round of three does not change. NaN for an empty array. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)] ?? NaN
  return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

/** The quantile: a share of `part` (0 to 1) of the values is not larger. */
export function percentile(sorted: ArrayLike<number>, part: number): number {
  const index = Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)
  return sorted[Math.max(0, index)] ?? NaN
}

/** A number with three significant digits and thousands separators. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toPrecision(3)
}

export function ratio(value: number, baseline: number): string {
  return Number.isFinite(value / baseline) ? `${(value / baseline).toFixed(2)}×` : '–'
}

/** The median of the ratios of each round, because a busy machine slows both sides of a ratio down. */
export function ratioByRound(values: readonly number[], baselines: readonly number[]): string {
  return ratio(median(values.map((value, round) => value / (baselines[round] ?? NaN))), 1)
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** Rotates the order, so that another one goes first in each round. */
export function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
