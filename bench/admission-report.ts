/** Prints the tables of the admission benchmark: Berth compared with the bare servers of the same run. */
import type { LoadResult } from './load.ts'
import { figure, median, percent, ratioByRound } from './lib/numbers.ts'
import { print, printTable } from './lib/report.ts'
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

type Field = (result: LoadResult) => number

export function printAdmission(results: AdmissionResults): void {
  print('## Reviews per second\n')
  compare(results, ({ perSecond }) => perSecond)
  print('## CPU per review, µs\n')
  compare(results, ({ cpuMicros }) => cpuMicros)
  print('## Latency p50, ms\n')
  compare(results, ({ p50Ms }) => p50Ms)
  print('## Latency p99, ms\n')
  compare(results, ({ p99Ms }) => p99Ms)
  printReliability(results)
}

/** One row for each review and number of connections: medians over the rounds, and Berth's ratio to each bare server. */
function compare(results: AdmissionResults, field: Field): void {
  const [berth = '', ...bareServers] = results.servers
  const rows = cases(results).map(({ review, connections }) => {
    const values = (server: string) =>
      samplesOf(results, { server, review, connections }).map(field)
    return [
      `${review}, ${connections} connection${connections === 1 ? '' : 's'}`,
      figure(median(values(berth))),
      ...bareServers.flatMap((bareServer) => [
        figure(median(values(bareServer))),
        ratioByRound(values(berth), values(bareServer)),
      ]),
    ]
  })
  printTable(
    ['review', berth, ...bareServers.flatMap((bareServer) => [bareServer, 'Berth ÷'])],
    rows,
  )
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

function cases({ reviews, connections }: AdmissionResults): {
  readonly review: string
  readonly connections: number
}[] {
  return reviews.flatMap(({ name }) =>
    connections.map((count) => ({ review: name, connections: count })),
  )
}

function samplesOf(
  { samples }: AdmissionResults,
  wanted: { readonly server: string; readonly review: string; readonly connections: number },
): LoadResult[] {
  return samples
    .filter(
      ({ server, review, connections }) =>
        server === wanted.server && review === wanted.review && connections === wanted.connections,
    )
    .map(({ result }) => result)
}
