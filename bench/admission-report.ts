/** Prints the tables of the admission benchmark: Berth compared with the bare servers of the same run. */
import type { LoadResult } from './load.ts'
import { figure, median, percent } from './lib/numbers.ts'
import type { Comparison } from './lib/outcome.ts'
import { print, printTable } from './lib/report.ts'
import { ratioText } from './lib/results.ts'
import type { BenchReview } from './lib/reviews.ts'

export interface Sample {
  readonly server: string
  readonly review: string
  readonly connections: number
  readonly result: LoadResult
}

export interface AdmissionResults {
  /** Berth first, then the bare servers. */
  readonly servers: readonly string[]
  readonly reviews: readonly BenchReview[]
  readonly connections: readonly number[]
  readonly samples: readonly Sample[]
}

/** Above this share of its core, the load generator may be the bottleneck. */
const saturated = 0.95

interface Measure {
  readonly title: string
  readonly better: Comparison['better']
  readonly of: (result: LoadResult) => number
}

const measures: readonly Measure[] = [
  { title: 'Reviews per second', better: 'more', of: ({ perSecond }) => perSecond },
  { title: 'CPU per review, µs', better: 'less', of: ({ cpuMicros }) => cpuMicros },
  { title: 'Latency p50, ms', better: 'less', of: ({ p50Ms }) => p50Ms },
  { title: 'Latency p99, ms', better: 'less', of: ({ p99Ms }) => p99Ms },
]

export function printAdmission(results: AdmissionResults): void {
  for (const measure of measures) {
    print(`## ${measure.title}\n`)
    printMeasure(results, measure)
  }
  printReliability(results)
}

/** One row for each review and number of connections: medians over the rounds, and Berth's ratio to each other server. */
function printMeasure(results: AdmissionResults, measure: Measure): void {
  const [berth = '', ...others] = results.servers
  const rows = cases(results).map((each) => {
    const values = (server: string) => valuesOf(results, measure, { ...each, server })
    return [
      titleOf(each),
      figure(median(values(berth))),
      ...others.flatMap((server) => [
        figure(median(values(server))),
        ratioText(values(berth), values(server)),
      ]),
    ]
  })
  printTable(['review', berth, ...others.flatMap((server) => [server, 'Berth ÷'])], rows)
}

/** Returns Berth's ratio to each of these servers, in every measure. */
export function compareServers(
  results: AdmissionResults,
  baselines: ReadonlySet<string>,
): readonly Comparison[] {
  const [berth = '', ...others] = results.servers
  return measures.flatMap((measure) =>
    cases(results).flatMap((each) =>
      others
        .filter((server) => baselines.has(server))
        .map((baseline) => ({
          name: `${measure.title}: ${titleOf(each)}`,
          baseline,
          better: measure.better,
          values: valuesOf(results, measure, { ...each, server: berth }),
          baselineValues: valuesOf(results, measure, { ...each, server: baseline }),
        })),
    ),
  )
}

function titleOf({ review, connections }: Case): string {
  return `${review}, ${connections} connection${connections === 1 ? '' : 's'}`
}

function valuesOf(
  results: AdmissionResults,
  measure: Measure,
  wanted: Case & { readonly server: string },
): number[] {
  return samplesOf(results, wanted).map(measure.of)
}

/** What may distort the results: a load generator at its limit, and other processes on the server's core. */
function printReliability({ servers, samples }: AdmissionResults): void {
  const rows = servers.map((server) => {
    const mine = samples.filter((sample) => sample.server === server).map(({ result }) => result)
    const loads = mine.map(({ generatorLoad }) => generatorLoad)
    const others = mine.map(({ disturbance }) => disturbance)
    return [
      server,
      percent(median(loads)),
      percent(Math.max(...loads)),
      `${loads.filter((load) => load > saturated).length} of ${loads.length}`,
      percent(median(others)),
      percent(Math.max(...others)),
      String(mine.reduce((sum, { refused }) => sum + refused, 0)),
    ]
  })
  print('## Reliability of the results\n')
  printTable(
    [
      'server',
      "generator's core, median",
      'most',
      'measurements above 95 %',
      'others on the core, median',
      'most',
      'refused with 503',
    ],
    rows,
  )
}

interface Case {
  readonly review: string
  readonly connections: number
}

function cases({ reviews, connections }: AdmissionResults): Case[] {
  return reviews.flatMap(({ name }) =>
    connections.map((count) => ({ review: name, connections: count })),
  )
}

function samplesOf(
  { samples }: AdmissionResults,
  wanted: Case & { readonly server: string },
): LoadResult[] {
  return samples
    .filter(
      ({ server, review, connections }) =>
        server === wanted.server && review === wanted.review && connections === wanted.connections,
    )
    .map(({ result }) => result)
}
