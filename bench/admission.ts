/**
 * The webhook over HTTPS as an API server drives it, beside bare servers that do the least that a webhook can. All of
 * them run during the whole bench and take turns at the load, so that a busy neighbour disturbs every one of them.
 */
import { readFileSync } from 'node:fs'
import type { LoadResult } from './load.ts'
import { printAdmission, type Sample } from './admission-report.ts'
import { untilAnswered } from './lib/ask-once.ts'
import { serverCore } from './lib/machine.ts'
import { type Started, startPinned } from './lib/process.ts'
import { print, progress } from './lib/report.ts'
import { startRegistry } from './lib/registry.ts'
import { type BenchReview, benchReviews } from './lib/reviews.ts'
import { runLoad } from './lib/run-load.ts'
import { berthServer, goServer, nodeServer, type Server, sourceServer } from './lib/servers.ts'
import { makeWorkspace, type Workspace } from './lib/workspace.ts'
import { benchStartup } from './startup.ts'

interface Plan {
  readonly rounds: number
  readonly connections: readonly number[]
  readonly warmMs: number
  readonly measureMs: number
  readonly starts: number
}

const full: Plan = {
  rounds: 5,
  connections: [1, 8, 64, 256],
  warmMs: 500,
  measureMs: 2_000,
  starts: 7,
}

const short: Plan = { rounds: 3, connections: [8, 64], warmMs: 300, measureMs: 700, starts: 3 }

/** Servers compile their hot functions while they run; nothing is measured before each has answered for so long. */
const firstWarmMs = 2_000

export async function benchAdmission(isShort: boolean): Promise<void> {
  const plan = isShort ? short : full
  const workspace = await makeWorkspace()
  const registry = await startRegistry()
  try {
    const berth = await berthServer(workspace, registry.url)
    const bareNode = await nodeServer('bare Node', 'node-floor.ts', workspace)
    const bareGo = await goServer(workspace)
    const fastify = await nodeServer('bare fastify', 'fastify-floor.ts', workspace)
    const go = bareGo === null ? [] : [bareGo]
    const [smallest] = benchReviews() as [BenchReview]
    print('## Start')
    await benchStartup({
      workspace,
      servers: [berth, await sourceServer(workspace, registry.url), fastify, bareNode, ...go],
      review: smallest,
      rounds: plan.starts,
      floor: fastify.name,
    })
    await load(workspace, [berth, bareNode, ...go], plan)
  } finally {
    await registry.close()
    workspace.remove()
  }
}

async function load(workspace: Workspace, servers: readonly Server[], plan: Plan): Promise<void> {
  const running = servers.map((server) => ({
    ...server,
    process: startPinned(server.program, serverCore, { keepErrors: true }),
  }))
  try {
    await Promise.all(running.map((server) => ready(workspace, server)))
    const samples: Sample[] = []
    const one = (server: Running, review: BenchReview, connections: number, warmMs: number) =>
      measure(workspace, server, review, { ...plan, connections, warmMs })
    for (const review of benchReviews()) {
      progress(`warming up: ${review.name}, ${review.body.length} bytes`)
      for (const server of running) await one(server, review, 8, firstWarmMs)
    }
    for (let round = 0; round < plan.rounds; round++) {
      for (const review of benchReviews()) {
        progress(`load, round ${round + 1} of ${plan.rounds}: ${review.name}`)
        for (const connections of plan.connections) {
          for (const server of rotated(running, round)) {
            const result = await one(server, review, connections, plan.warmMs)
            samples.push({ server: server.name, review: review.name, connections, result })
          }
        }
      }
    }
    printAdmission({
      servers: servers.map(({ name }) => name),
      reviews: benchReviews(),
      connections: plan.connections,
      samples,
    })
  } finally {
    await Promise.all(running.map(({ process }) => process.stop()))
  }
}

type Running = Server & { readonly process: Started }

async function ready(workspace: Workspace, { name, port, process }: Running): Promise<void> {
  const [smallest] = benchReviews() as [BenchReview]
  await untilAnswered({
    port,
    ca: readFileSync(workspace.ca, 'utf8'),
    body: smallest.body,
    images: 1,
    giveUp: () => (process.hasEnded() ? `${name} ended: ${process.errors()}` : null),
  })
}

interface Measurement {
  readonly connections: number
  readonly warmMs: number
  readonly measureMs: number
}

function measure(
  workspace: Workspace,
  { name, port, process }: Running,
  review: BenchReview,
  { connections, warmMs, measureMs }: Measurement,
): Promise<LoadResult> {
  // The bare servers know one answer; Berth has to rewrite every image.
  const images = name === 'Berth' ? review.images : 1
  const { pid } = process
  return runLoad(workspace, review, { port, pid, connections, warmMs, measureMs, images })
}

/** Another server goes first in each round, so that none is always behind the same neighbour. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
