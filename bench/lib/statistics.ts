/** Estimates medians and ratios of measurements, with confidence intervals. */
import { median, percentile } from './numbers.ts'

/** An estimate, and the interval that has the true value with a confidence of 95 %. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
}

/** Returns numbers from 0 to 1, without 1. */
export type Random = () => number

const confidence = 0.95

/** With more samples, the limits of the interval change by less than they are rounded. */
const resamples = 2_000

/** Every report of the same measurements must have the same intervals. */
const seed = 1

/** Returns a generator of random numbers that are the same for the same seed (mulberry32, public domain, Tommy Ettinger). */
export function seededRandom(start: number): Random {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Returns the median of the values of the rounds. The interval is a percentile bootstrap: the limits between which the median
 * of as many values lies, drawn at random from them with replacement. NaN without values.
 */
export function estimateMedian(
  values: readonly number[],
  random: Random = seededRandom(seed),
): Estimate {
  const draw = () => values[Math.floor(random() * values.length)] ?? NaN
  const medians = Array.from({ length: resamples }, () => median(values.map(draw)))
  const sorted = Float64Array.from(medians).sort()
  const tail = (1 - confidence) / 2
  return {
    value: median(values),
    low: percentile(sorted, tail),
    high: percentile(sorted, 1 - tail),
  }
}

/** Returns the median of the ratios of each round, because a busy machine slows both sides of a ratio down. */
export function estimateRatio(values: readonly number[], baselines: readonly number[]): Estimate {
  return estimateMedian(values.map((value, round) => value / (baselines[round] ?? NaN)))
}
