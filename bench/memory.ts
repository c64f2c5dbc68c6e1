/** Measures the memory of new server processes: at rest after the first response, and under 256 connections. */
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

const connections = 256

/** Load time after which the size of the heap is stable. */
const loadMs = 5_000

const restMs = 1_000

export interface MemoryOptions {
  readonly workspace: Workspace
  readonly servers: readonly Server[]
  readonly reviews: readonly BenchReview[]
  readonly rounds: number
}

interface Memory {
  readonly atRest: number
  readonly most: number
}

/** Starts a new process for each review, so that the heap of a large one does not affect the next measurement. */
export async function benchMemory(options: MemoryOptions): Promise<void> {
  const { workspace, servers, reviews, rounds } = options
  const columns = new Map<string, Memory[][]>()
  for (const server of servers) {
    progress(`memory: ${server.name}`)
    const perReview: Memory[][] = []
    for (const review of reviews) {
      const seen: Memory[] = []
      for (let round = 0; round < rounds; round++) seen.push(await look(workspace, server, review))
      perReview.push(seen)
    }
    columns.set(server.name, perReview)
  }
  const row = (title: string, of: (perReview: readonly Memory[][]) => number) => [
    title,
    ...servers.map(({ name }) => megabytes(of(columns.get(name) ?? []))),
  ]
  printTable(
    ['RSS', ...servers.map(({ name }) => name)],
    [
      row('at rest', (perReview) => median(perReview.flat().map(({ atRest }) => atRest))),
      ...reviews.map(({ name }, index) =>
        row(`${connections} connections, ${name}`, (perReview) =>
          median((perReview[index] ?? []).map(({ most }) => most)),
        ),
      ),
    ],
  )
}

async function look(workspace: Workspace, server: Server, review: BenchReview): Promise<Memory> {
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
