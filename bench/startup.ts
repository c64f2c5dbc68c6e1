/** How long a server takes from being started to its first answer, and what it then holds in memory. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { untilAnswered } from './lib/ask-once.ts'
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

/** Long enough for whatever a start leaves behind to be done. */
const restMs = 500

export interface StartOptions {
  readonly workspace: Workspace
  readonly servers: readonly Server[]
  readonly review: BenchReview
  readonly rounds: number
  /** The server that the others are compared with. */
  readonly floor: string
}

/** Starts every server once in each round; prints medians. */
export async function benchStartup(options: StartOptions): Promise<void> {
  const { workspace, servers, review, rounds, floor } = options
  const starts = new Map<string, Start[]>(servers.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    progress(`start-up, round ${round + 1} of ${rounds}`)
    for (const server of servers)
      starts.get(server.name)?.push(await startOnce(workspace, server, review))
  }
  const mid = (name: string, of: (start: Start) => number) =>
    median((starts.get(name) ?? []).map(of))
  const floorMs = mid(floor, ({ milliseconds }) => milliseconds)
  printTable(
    ['server', 'first answer after ms', `× ${floor}`, 'RSS at rest'],
    servers.map(({ name }) => {
      const milliseconds = mid(name, (start) => start.milliseconds)
      return [
        name,
        figure(milliseconds),
        ratio(milliseconds, floorMs),
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
