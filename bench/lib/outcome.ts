/** What a benchmark returns, to be saved and to be compared with earlier runs. */
import type { NoiseCounts } from './noise-gate.ts'

/** One ratio of a benchmark: Berth, or a larger table, compared with something that was measured in the same rounds. */
export interface Comparison {
  /** What was measured, with its unit. Together with `baseline` unique in a benchmark. */
  readonly name: string
  readonly baseline: string
  readonly better: 'less' | 'more'
  /** One value for each round. */
  readonly values: readonly number[]
  readonly baselineValues: readonly number[]
}

export interface BenchOutcome {
  /** Null without a noise gate. */
  readonly noise: NoiseCounts | null
  readonly comparisons: readonly Comparison[]
}
