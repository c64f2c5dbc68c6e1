/**
 * Benchmarks the webhook over HTTPS as an API server calls it, and bare servers that do the minimum of a webhook. All
 * servers run during the whole benchmark and get the load in turns, so that a busy machine slows all of them down.
 */
import type { LoadResult } from './load.ts'
import { compareServers, printAdmission, type Sample } from './admission-report.ts'
import { benchLoopDelay } from './loop-delay.ts'
import { benchMemory } from './memory.ts'
import { serverCore } from './lib/machine.ts'
import { createNoiseGate } from './lib/noise-gate.ts'
import { rotated } from './lib/numbers.ts'
import type { BenchOutcome } from './lib/outcome.ts'
import { peerServer } from './lib/peer.ts'
import { startPinned } from './lib/process.ts'
import { print, progress } from './lib/report.ts'
import { startRegistry } from './lib/registry.ts'
import { type BenchReview, benchReviews } from './lib/reviews.ts'
import { runLoad } from './lib/run-load.ts'
import {
  baselineServer,
  berthServer,
  goServer,
  nodeServer,
  rewrittenImages,
  type Server,
  sourceServer,
} from './lib/servers.ts'
import { type Running, waitUntilAnswered } from './lib/wait-until-answered.ts'
import { makeWorkspace, type Workspace } from './lib/workspace.ts'
import { benchStartup } from './startup.ts'

interface Plan {
  readonly rounds: number
  readonly connections: readonly number[]
  readonly warmMs: number
  readonly measureMs: number
  readonly starts: number
  readonly memoryRounds: number
}

const full: Plan = {
  rounds: 6,
  connections: [1, 8, 64],
  warmMs: 500,
  measureMs: 2_000,
  starts: 7,
  memoryRounds: 2,
}

const short: Plan = {
  rounds: 3,
  connections: [8, 64],
  warmMs: 300,
  measureMs: 700,
  starts: 3,
  memoryRounds: 1,
}

/** Warm-up: V8 compiles hot functions while they run, so each server answers for this long before it is measured. */
const firstWarmMs = 2_000

export interface AdmissionOptions {
  readonly isShort: boolean
  /** Another checkout of Berth. */
  readonly baseline: string | undefined
  /** Definition files of other webhooks. They take part in the load. */
  readonly peers: readonly string[]
}

export async function benchAdmission({
  isShort,
  baseline,
  peers,
}: AdmissionOptions): Promise<BenchOutcome> {
  const plan = isShort ? short : full
  const workspace = await makeWorkspace()
  const registry = await startRegistry()
  try {
    const berth = await berthServer(workspace, registry.url)
    const bareNode = await nodeServer('bare Node', 'bare-node.ts', workspace)
    const bareGo = await goServer(workspace)
    const fastify = await nodeServer('bare fastify', 'bare-fastify.ts', workspace)
    const go = bareGo === null ? [] : [bareGo]
    const before =
      baseline === undefined ? [] : [await baselineServer(workspace, registry.url, baseline)]
    const [smallest] = benchReviews() as [BenchReview]
    print('## Start\n')
    const starts = await benchStartup({
      workspace,
      servers: [
        berth,
        ...before,
        await sourceServer(workspace, registry.url),
        fastify,
        bareNode,
        ...go,
      ],
      review: smallest,
      rounds: plan.starts,
      baseline: fastify.name,
    })
    const [, ordinary = smallest, , large = smallest] = benchReviews()
    print('## Memory\n')
    await benchMemory({
      workspace,
      servers: [berth, ...before, bareNode, ...go],
      loads: [
        { review: ordinary, connections: 64 },
        { review: ordinary, connections: 256 },
        { review: large, connections: 256 },
      ],
      rounds: plan.memoryRounds,
    })
    const others: Server[] = []
    for (const file of peers) others.push(await peerServer(file, workspace, registry.url))
    const outcome = await load(workspace, [berth, ...before, bareNode, ...go, ...others], plan)
    print('\n## Event loop\n')
    await benchLoopDelay(workspace, plan.measureMs)
    return { ...outcome, comparisons: [...starts, ...outcome.comparisons] }
  } finally {
    await registry.close()
    workspace.remove()
  }
}

async function load(
  workspace: Workspace,
  servers: readonly Server[],
  plan: Plan,
): Promise<BenchOutcome> {
  const running = servers.map((server) => ({
    ...server,
    process: startPinned(server.program, serverCore),
  }))
  try {
    await Promise.all(running.map((server) => waitUntilAnswered(workspace, server)))
    const samples: Sample[] = []
    const one = (server: Running, review: BenchReview, connections: number, warmMs: number) =>
      measure(workspace, server, review, { ...plan, connections, warmMs })
    for (const review of benchReviews()) {
      progress(`warming up: ${review.name}, ${review.body.length} bytes`)
      for (const server of running) await one(server, review, 8, firstWarmMs)
    }
    const gate = createNoiseGate()
    for (const { round, review, connections } of cases(plan)) {
      progress(`load, round ${round + 1} of ${plan.rounds}: ${review.name}, ${connections}`)
      const turns = async (look: () => void) => {
        const taken: Sample[] = []
        for (const server of rotated(running, round)) {
          const result = await one(server, review, connections, plan.warmMs)
          taken.push({ server: server.name, review: review.name, connections, result })
          look()
        }
        return taken
      }
      samples.push(...(await gate.round(turns)))
    }
    const results = {
      servers: servers.map(({ name }) => name),
      reviews: benchReviews(),
      connections: plan.connections,
      samples,
    }
    printAdmission(results)
    const bare = new Set(['bare Node', 'bare Go'])
    return { noise: gate.counts(), comparisons: compareServers(results, bare) }
  } finally {
    await Promise.all(running.map(({ process }) => process.stop()))
  }
}

/** Runs all measurements, round by round. */
function cases({ rounds, connections }: Plan): {
  readonly round: number
  readonly review: BenchReview
  readonly connections: number
}[] {
  return Array.from({ length: rounds }, (_, round) =>
    benchReviews().flatMap((review) =>
      connections.map((count) => ({ round, review, connections: count })),
    ),
  ).flat()
}

interface Measurement {
  readonly connections: number
  readonly warmMs: number
  readonly measureMs: number
}

function measure(
  workspace: Workspace,
  server: Running,
  review: BenchReview,
  { connections, warmMs, measureMs }: Measurement,
): Promise<LoadResult> {
  const { port, path, mirror, process } = server
  const images = rewrittenImages(server, review.images)
  const { pid } = process
  const target = { port, path, mirror, pid, images }
  return runLoad(workspace, review, { ...target, connections, warmMs, measureMs })
}
