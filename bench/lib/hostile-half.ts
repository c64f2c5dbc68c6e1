/**
 * The hostile half of the soak test: attacks mixed into normal load, with the memory of the container. No normal review may
 * fail or take more than a second, and memory must end where it began.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pinLoad, serverCore } from './machine.ts'
import { brokenPrefix } from './hostile-pods.ts'
import type { HostileTally } from './hostile-process.ts'
import { createMemoryCgroup, type MemoryCgroup } from './memory-cgroup.ts'
import { figure, median, megabytes, percentile, ratio } from './numbers.ts'
import { type PacedLoad, startPacedLoad } from './paced-load.ts'
import { residentBytes, startPinned } from './process.ts'
import { startRegistry } from './registry.ts'
import { print, printTable } from './report.ts'
import { berthServer } from './servers.ts'
import { waitUntilAnswered } from './wait-until-answered.ts'
import type { Workspace } from './workspace.ts'

/** The limit of deploy/, half of which is for the heap (deploy/image/entrypoint.ts). */
const containerBytes = 384 * 2 ** 20
const heapFlag = '--max-old-space-size-percentage=50'

const hostileProcess = fileURLToPath(new URL('hostile-process.ts', import.meta.url))

const normal = { count: 8, intervalMs: 40 }
const slowMs = 1_000
const sampleMs = 500

/** Before and after the attacks, memory is measured without them for this part of their time, at least ten seconds. */
const calmPart = 0.1

/** Memory may end this much above or below where it began. */
const tolerance = 0.1

/**
 * Rounds of all attacks before the measurement. The allocator keeps what the most connections at one time have used, in pieces
 * that only other connections can use again, and this grows for some rounds. The JavaScript heap does not grow.
 */
const warmRounds = 4

export interface HostileOptions {
  readonly seconds: number
  /** Only attacks with this in their name are sent. */
  readonly attack: string
}

/** Attacks for the given time. Returns false if Berth did not hold. */
export async function runHostileHalf(
  workspace: Workspace,
  options: HostileOptions,
): Promise<boolean> {
  // Otherwise the attacks and the measurement would take the core of the server.
  pinLoad()
  const registry = await startRegistry()
  registry.failFor(`/${brokenPrefix}`, 502)
  const cgroup = createMemoryCgroup(containerBytes)
  try {
    const berth = await berthServer(workspace, registry.url, [heapFlag])
    // The reader of its log is stalled: the pipe is never read.
    const server = startPinned(cgroup.wrap(berth.program), serverCore, { isErrorPiped: true })
    try {
      await waitUntilAnswered(workspace, { ...berth, process: server })
      const target = { port: berth.port, caFile: workspace.ca }
      const figures = await attack(target, options, () => {
        const end = server.end()
        if (end !== null) throw new Error(`Berth exited: ${end}`)
        return residentBytes(server.pid)
      })
      return conclude(figures, cgroup)
    } finally {
      await server.stop()
    }
  } finally {
    await registry.close()
    cgroup.remove()
  }
}

interface Figures {
  readonly load: PacedLoad
  readonly before: readonly number[]
  readonly during: readonly number[]
  readonly after: readonly number[]
  readonly tally: HostileTally
}

async function attack(
  target: { readonly port: number; readonly caFile: string },
  { seconds, attack: name }: HostileOptions,
  residentNow: () => number,
): Promise<Figures> {
  const calmMs = Math.max(10_000, seconds * 1000 * calmPart)
  const load = await startPacedLoad(
    { port: target.port, ca: readFileSync(target.caFile, 'utf8') },
    normal,
  )
  print(`${warmRounds} rounds of attacks`)
  await startAttacks(target, name, warmRounds).tally
  const before = await sample(calmMs, residentNow, load)
  print('attacks')
  const attacks = startAttacks(target, name, Infinity)
  const during = await sample(seconds * 1000, residentNow, load)
  attacks.stop()
  const tally = await attacks.tally
  const after = await sample(calmMs, residentNow, load)
  await load.stop()
  return { load, before, during, after, tally }
}

function startAttacks(
  { port, caFile }: { readonly port: number; readonly caFile: string },
  name: string,
  rounds: number,
): { stop(): void; readonly tally: Promise<HostileTally> } {
  // At the lowest priority, because it shares the core with the measurement.
  const child = spawn(
    'nice',
    ['-n', '19', process.execPath, hostileProcess, `${port}`, caFile, `${rounds}`, name],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  return {
    stop: () => child.kill('SIGTERM'),
    tally: text(child.stdout).then((json) => JSON.parse(json) as HostileTally),
  }
}

/** Samples the memory of Berth, and prints a line every ten seconds. */
async function sample(
  milliseconds: number,
  residentNow: () => number,
  { latencies, failures }: PacedLoad,
): Promise<number[]> {
  const samples: number[] = []
  const end = performance.now() + milliseconds
  for (let index = 0; performance.now() < end; index++) {
    await sleep(sampleMs)
    samples.push(residentNow())
    if (index % 20 === 0)
      print(
        `${latencies.length} reviews, ${failures.length} failed, most ${figure(max(latencies))} ms, RSS ${megabytes(samples.at(-1) ?? 0)}`,
      )
  }
  return samples
}

function max(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0)
}

/** Half of the samples: memory settles during the others. */
const secondHalf = (samples: readonly number[]) => samples.slice(Math.floor(samples.length / 2))

function conclude({ load, before, during, after, tally }: Figures, cgroup: MemoryCgroup): boolean {
  const { latencies, failures } = load
  const sorted = [...latencies].sort((a, b) => a - b)
  const [start, end] = [median(secondHalf(before)), median(secondHalf(after))]
  const slow = latencies.filter((milliseconds) => milliseconds > slowMs).length
  print('')
  printTable(
    ['normal reviews', 'failed', `over ${slowMs} ms`, 'p50 ms', 'p99 ms', 'most ms'],
    [
      [
        latencies.length.toLocaleString('en-US'),
        `${failures.length}`,
        `${slow}`,
        figure(percentile(sorted, 0.5)),
        figure(percentile(sorted, 0.99)),
        figure(max(latencies)),
      ],
    ],
  )
  printTable(
    ['RSS', 'before', 'most', 'after', 'after ÷ before', 'most in the cgroup'],
    [
      [
        '',
        megabytes(start),
        megabytes(max(during)),
        megabytes(end),
        ratio(end, start),
        megabytes(cgroup.peakBytes()),
      ],
    ],
  )
  printTable(
    ['attack', 'answers'],
    Object.entries(tally).map(([name, answers]) => [
      name,
      Object.entries(answers)
        .map(([answer, count]) => `${count} × ${answer}`)
        .join(', '),
    ]),
  )
  if (failures.length > 0) print(`the first failure: ${failures[0]}`)
  return failures.length === 0 && slow === 0 && Math.abs(end / start - 1) <= tolerance
}
