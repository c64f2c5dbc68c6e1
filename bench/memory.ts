/** Measures the memory of new server processes: at rest after the first response, and under load. */
import { setTimeout as sleep } from 'node:timers/promises'
import { serverCore } from './lib/machine.ts'
import { median, megabytes } from './lib/numbers.ts'
import { residentBytes, startPinned } from './lib/process.ts'
import { printTable, progress } from './lib/report.ts'
import type { BenchReview } from './lib/reviews.ts'
import { runLoad } from './lib/run-load.ts'
import { rewrittenImages, type Server } from './lib/servers.ts'
import { waitUntilAnswered } from './lib/wait-until-answered.ts'
import type { Workspace } from './lib/workspace.ts'

/** Load time after which the size of the heap is stable. */
const loadMs = 5_000

const restMs = 1_000

interface Load {
  readonly review: BenchReview
  readonly connections: number
}

export interface MemoryOptions {
  readonly workspace: Workspace
  readonly servers: readonly Server[]
  readonly loads: readonly Load[]
  readonly rounds: number
}

interface Memory {
  readonly atRest: number
  readonly most: number
}

/** Starts a new process for each load, so that the heap of a large one does not affect the next measurement. */
export async function benchMemory(options: MemoryOptions): Promise<void> {
  const { workspace, servers, loads, rounds } = options
  const columns = new Map<string, Memory[][]>()
  for (const server of servers) {
    progress(`memory: ${server.name}`)
    const perLoad: Memory[][] = []
    for (const load of loads) {
      const seen: Memory[] = []
      for (let round = 0; round < rounds; round++) seen.push(await look(workspace, server, load))
      perLoad.push(seen)
    }
    columns.set(server.name, perLoad)
  }
  const row = (title: string, of: (perLoad: readonly Memory[][]) => number) => [
    title,
    ...servers.map(({ name }) => megabytes(of(columns.get(name) ?? []))),
  ]
  printTable(
    ['RSS', ...servers.map(({ name }) => name)],
    [
      row('at rest', (perLoad) => median(perLoad.flat().map(({ atRest }) => atRest))),
      ...loads.map(({ review, connections }, index) =>
        row(`${connections} connections, ${review.name}`, (perLoad) =>
          median((perLoad[index] ?? []).map(({ most }) => most)),
        ),
      ),
    ],
  )
}

async function look(
  workspace: Workspace,
  server: Server,
  { review, connections }: Load,
): Promise<Memory> {
  const process = startPinned(server.program, serverCore)
  try {
    await waitUntilAnswered(workspace, { ...server, process })
    await sleep(restMs)
    const atRest = residentBytes(process.pid)
    const { port } = server
    const { maxResidentBytes } = await runLoad(workspace, review, {
      port,
      pid: process.pid,
      connections,
      warmMs: 0,
      measureMs: loadMs,
      images: rewrittenImages(server, review.images),
    })
    return { atRest, most: maxResidentBytes }
  } finally {
    await process.stop()
  }
}
