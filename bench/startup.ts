/** Measures the time from the start of a server to its first response, and its memory then. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { untilAnswered } from './lib/first-response.ts'
import { serverCore } from './lib/machine.ts'
import { figure, median, megabytes, rotated } from './lib/numbers.ts'
import type { Comparison } from './lib/outcome.ts'
import { residentBytes, startPinned } from './lib/process.ts'
import { printTable, progress } from './lib/report.ts'
import { ratioText } from './lib/results.ts'
import type { BenchReview } from './lib/reviews.ts'
import type { Server } from './lib/servers.ts'
import type { Workspace } from './lib/workspace.ts'

interface Start {
  readonly milliseconds: number
  readonly restBytes: number
}

/** Wait after the start, for its background work. */
const restMs = 500

export interface StartOptions {
  readonly workspace: Workspace
  /** Berth first. */
  readonly servers: readonly Server[]
  readonly review: BenchReview
  readonly rounds: number
  /** The server that the others are compared with. */
  readonly baseline: string
}

/** Starts every server once per round, and prints the medians. Returns the ratios of the first server. */
export async function benchStartup(options: StartOptions): Promise<readonly Comparison[]> {
  const { workspace, servers, review, rounds, baseline } = options
  const starts = new Map<string, Start[]>(servers.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    progress(`start-up, round ${round + 1} of ${rounds}`)
    for (const server of rotated(servers, round))
      starts.get(server.name)?.push(await startOnce(workspace, server, review))
  }
  const valuesOf = (name: string, of: (start: Start) => number) => (starts.get(name) ?? []).map(of)
  const milliseconds = (start: Start) => start.milliseconds
  const restBytes = (start: Start) => start.restBytes
  printTable(
    ['server', 'first answer after ms', `× ${baseline}`, 'RSS at rest', `× ${baseline}`],
    servers.map(({ name }) => [
      name,
      figure(median(valuesOf(name, milliseconds))),
      ratioText(valuesOf(name, milliseconds), valuesOf(baseline, milliseconds)),
      megabytes(median(valuesOf(name, restBytes))),
      ratioText(valuesOf(name, restBytes), valuesOf(baseline, restBytes)),
    ]),
  )
  const first = servers[0]?.name ?? ''
  return Object.entries({ 'First answer, ms': milliseconds, 'RSS at rest': restBytes }).map(
    ([name, of]) => ({
      name,
      baseline,
      better: 'less',
      values: valuesOf(first, of),
      baselineValues: valuesOf(baseline, of),
    }),
  )
}

async function startOnce(
  { ca }: Workspace,
  { program, port }: Server,
  { body }: BenchReview,
): Promise<Start> {
  const authority = readFileSync(ca, 'utf8')
  const before = performance.now()
  const started = startPinned(program, serverCore)
  try {
    await untilAnswered({
      port,
      ca: authority,
      body,
      images: 1,
      stopReason: started.end,
    })
    const milliseconds = performance.now() - before
    await sleep(restMs)
    return { milliseconds, restBytes: residentBytes(started.pid) }
  } finally {
    await started.stop()
  }
}
