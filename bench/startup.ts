/** Measures the time from the start of a server to its first response, and its memory then. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { untilAnswered } from './lib/first-response.ts'
import { serverCore } from './lib/machine.ts'
import { figure, median, megabytes, ratio } from './lib/numbers.ts'
import { residentBytes, startPinned } from './lib/process.ts'
import { printTable, progress } from './lib/report.ts'
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
  readonly servers: readonly Server[]
  readonly review: BenchReview
  readonly rounds: number
  /** The server that the others are compared with. */
  readonly baseline: string
}

/** Starts every server once per round, and prints the medians. */
export async function benchStartup(options: StartOptions): Promise<void> {
  const { workspace, servers, review, rounds, baseline } = options
  const starts = new Map<string, Start[]>(servers.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    progress(`start-up, round ${round + 1} of ${rounds}`)
    for (const server of servers)
      starts.get(server.name)?.push(await startOnce(workspace, server, review))
  }
  const mid = (name: string, of: (start: Start) => number) =>
    median((starts.get(name) ?? []).map(of))
  const baselineMs = mid(baseline, ({ milliseconds }) => milliseconds)
  printTable(
    ['server', 'first answer after ms', `× ${baseline}`, 'RSS at rest'],
    servers.map(({ name }) => {
      const milliseconds = mid(name, (start) => start.milliseconds)
      return [
        name,
        figure(milliseconds),
        ratio(milliseconds, baselineMs),
        megabytes(mid(name, ({ restBytes }) => restBytes)),
      ]
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
