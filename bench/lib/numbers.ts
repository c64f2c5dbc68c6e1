/** Small statistics, and numbers as people read them. */

/** The middle one: one disturbed round of three does not move it. NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)] ?? NaN
  return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

/** The value that the share `part` of all values does not exceed. */
export function percentile(sorted: ArrayLike<number>, part: number): number {
  const index = Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)
  return sorted[Math.max(0, index)] ?? NaN
}

/** Three digits that count, and a separator where there are more before the point. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toPrecision(3)
}

export function ratio(value: number, floor: number): string {
  return Number.isFinite(value / floor) ? `${(value / floor).toFixed(2)}×` : '–'
}

/** The median of the ratios of each round: a neighbour who is busy in one round disturbs both sides of its ratio. */
export function ratioByRound(values: readonly number[], floors: readonly number[]): string {
  return ratio(median(values.map((value, round) => value / (floors[round] ?? NaN))), 1)
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** Another one goes first in each round, so that none is always behind the same neighbour. */
export function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
