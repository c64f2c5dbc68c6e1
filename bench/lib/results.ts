/** The results of a benchmark as JSON, with the raw values of each round, and the comparison with earlier ones. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ratio } from './numbers.ts'
import type { BenchOutcome, Comparison } from './outcome.ts'
import { type Estimate, estimateRatio } from './statistics.ts'
import { repository } from './workspace.ts'

export interface BenchResults extends BenchOutcome {
  readonly machine: string
  readonly commit: string
  readonly isShort: boolean
}

/** A ratio that became worse. */
export interface Slower {
  readonly comparison: Comparison
  readonly before: Estimate
  readonly now: Estimate
  /** How much worse, as a share: 0.3 for 30 %. */
  readonly share: number
}

/**
 * Changes below this share are not reported even if the intervals do not overlap: compiler decisions of V8 and the layout of
 * memory differ from run to run, but are the same in all rounds of a run.
 */
const tolerance = 0.1

/** Returns the ratios that are worse than in earlier results, by more than the noise of both. Ratios that only one has are left out. */
export function findSlower(
  before: readonly Comparison[],
  now: readonly Comparison[],
): readonly Slower[] {
  const earlierByKey = new Map(before.map((each) => [describeComparison(each), each]))
  return now.flatMap((comparison): Slower[] => {
    const earlier = earlierByKey.get(describeComparison(comparison))
    if (earlier === undefined) return []
    const [old, current] = [estimateOf(earlier), estimateOf(comparison)]
    const isWorse =
      comparison.better === 'less'
        ? current.low > old.high * (1 + tolerance)
        : current.high < old.low / (1 + tolerance)
    const quotient = current.value / old.value
    const share = (comparison.better === 'less' ? quotient : 1 / quotient) - 1
    return isWorse ? [{ comparison, before: old, now: current, share }] : []
  })
}

/** Returns the ratios of earlier results that were not measured now, such as those of a server that this machine cannot build. */
export function findMissing(
  before: readonly Comparison[],
  now: readonly Comparison[],
): readonly Comparison[] {
  const known = new Set(now.map(describeComparison))
  return before.filter((each) => !known.has(describeComparison(each)))
}

/** Returns what identifies a ratio: its name and its baseline. */
export function describeComparison({ name, baseline }: Comparison): string {
  return `${name} ÷ ${baseline}`
}

/** Returns a line for the report: the ratio, how much worse it is, and both values. */
export function describeSlower({ comparison, before, now, share }: Slower): string {
  return `${describeComparison(comparison)}: ${Math.round(share * 100)} % worse, ${estimateText(now)} instead of ${estimateText(before)}`
}

function estimateOf({ values, baselineValues }: Comparison): Estimate {
  return estimateRatio(values, baselineValues)
}

/** Returns the ratio with its interval: `1.20× (1.15–1.26)`. */
export function ratioText(values: readonly number[], baselineValues: readonly number[]): string {
  return estimateText(estimateRatio(values, baselineValues))
}

function estimateText({ value, low, high }: Estimate): string {
  return Number.isFinite(value) ? `${ratio(value, 1)} (${low.toFixed(2)}–${high.toFixed(2)})` : '–'
}

function fileOf(bench: string): string {
  return join(repository, 'bench', 'results', `${bench}.json`)
}

/** Returns the committed results of a benchmark; null without any. */
export function readResults(bench: string): BenchResults | null {
  const file = fileOf(bench)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as BenchResults) : null
}

/** Replaces the results of a benchmark in `bench/results`. */
export function writeResults(bench: string, results: BenchResults): void {
  writeFileSync(fileOf(bench), formatResults(results))
}

/**
 * Returns the results as JSON, with four significant digits, which is more than any measurement has, and with one line for each
 * comparison, so that a diff shows which have changed.
 *
 * @internal
 */
export function formatResults({ comparisons, ...head }: BenchResults): string {
  const lines = comparisons.map((each) => `    ${JSON.stringify(each, rounded)}`)
  const text = JSON.stringify(head, null, 2).replace(/\n\}$/, '')
  return `${text},\n  "comparisons": [\n${lines.join(',\n')}\n  ]\n}\n`
}

function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value
}
