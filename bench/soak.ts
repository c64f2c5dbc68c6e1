/**
 * Sends reviews for a long time, while the registry fails and recovers and the config is rewritten. Leaks of memory or
 * file descriptors show in the curve, and wrong responses are counted.
 *
 * Then, in a control group with the memory of the container, it mixes attacks into normal load (needs root).
 *
 *   node bench/soak.ts [--reviews 1000000] [--connections 16] [--sample-seconds 10] [--rewrite-seconds 60] [--flap-seconds 5]
 *     [--hostile-seconds 600] [--attack '12,000 images']
 *
 * 0 reviews or 0 hostile seconds leave a half out. `--attack` sends only the attacks with this text in their names.
 */
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { berthConfig, configFileOf } from './lib/berth.ts'
import { runHostileHalf } from './lib/hostile-half.ts'
import { describeMachine, serverCore } from './lib/machine.ts'
import { figure, median, megabytes, ratio } from './lib/numbers.ts'
import { openFiles, residentBytes, startPinned } from './lib/process.ts'
import { type BenchRegistry, startRegistry } from './lib/registry.ts'
import { print } from './lib/report.ts'
import { berthServer } from './lib/servers.ts'
import { type SoakLoad, startSoakLoad } from './lib/soak-load.ts'
import { type SoakSample, writeSoakResults } from './lib/soak-results.ts'
import { waitUntilAnswered } from './lib/wait-until-answered.ts'
import { makeWorkspace } from './lib/workspace.ts'

const { values } = parseArgs({
  options: {
    reviews: { type: 'string', default: '1000000' },
    connections: { type: 'string', default: '16' },
    'sample-seconds': { type: 'string', default: '10' },
    'rewrite-seconds': { type: 'string', default: '60' },
    'flap-seconds': { type: 'string', default: '5' },
    'hostile-seconds': { type: 'string', default: '600' },
    attack: { type: 'string', default: '' },
  },
})
const seconds = (name: 'sample-seconds' | 'rewrite-seconds' | 'flap-seconds') =>
  Number(values[name]) * 1000

/** After a reload, the previous config is kept for 30 s for reviews that started with it. Then it must be released. */
const coolDownMs = 40_000

/** The longest run: below 50 reviews per second, something hangs. */
const slowestPerSecond = 50

const workspace = await makeWorkspace()
const registry = await startRegistry()
const timers: NodeJS.Timeout[] = []
try {
  print(`Machine: ${describeMachine()}\n`)
  if (Number(values.reviews) > 0) await runFriendlyHalf()
  const hostile = { seconds: Number(values['hostile-seconds']), attack: values.attack }
  if (hostile.seconds > 0 && !(await runHostileHalf(workspace, hostile))) process.exitCode = 1
} finally {
  for (const timer of timers) clearInterval(timer)
  await registry.close()
  workspace.remove()
}

async function runFriendlyHalf(): Promise<void> {
  const berth = await berthServer(workspace, registry.url)
  const server = startPinned(berth.program, serverCore)
  try {
    await waitUntilAnswered(workspace, { ...berth, process: server })
    await soak(server.pid, berth.port, server.end)
  } finally {
    await server.stop()
  }
}

async function soak(pid: number, port: number, end: () => string | null): Promise<void> {
  const reviews = Number(values.reviews)
  const load = await startSoakLoad({
    port,
    caFile: workspace.ca,
    connections: Number(values.connections),
    reviews,
  })
  const samples: SoakSample[] = []
  const started = performance.now()
  const disturbance = startDisturbing(registry)
  const look = () => {
    const gone = end()
    if (gone !== null) throw new Error(`Berth exited: ${gone}`)
    samples.push(sampleOf(load, { pid, started, rewrites: disturbance.rewrites() }))
    print(lineOf(samples))
  }
  const deadline = Date.now() + 60_000 + (reviews / slowestPerSecond) * 1000
  while (!load.isDone()) {
    await Promise.race([load.done, sleep(seconds('sample-seconds'))])
    look()
    if (Date.now() > deadline) throw new Error('the run did not finish in time')
  }
  disturbance.stop()
  registry.failWith(null)
  load.close()
  print('at rest, until the last old configuration is gone')
  await sleep(coolDownMs)
  look()
  const { errors, firstError } = load.counts()
  conclude(samples, errors, firstError)
}

/** The registry works, then returns 503, then is slow, in turn. Each rewrite of the config clears the caches. */
function startDisturbing(disturbed: BenchRegistry): { stop(): void; rewrites: () => number } {
  let turn = 0
  let rewrites = 0
  const moods: readonly (() => void)[] = [
    () => (disturbed.failWith(null), disturbed.delay(0)),
    () => disturbed.failWith(503),
    () => (disturbed.failWith(null), disturbed.delay(150)),
  ]
  const flap = setInterval(() => moods[++turn % moods.length]?.(), seconds('flap-seconds'))
  const rewrite = setInterval(() => {
    rewrites++
    writeFileSync(configFileOf(workspace), berthConfig(disturbed.url, `rewrite ${rewrites}`))
  }, seconds('rewrite-seconds'))
  timers.push(flap, rewrite)
  return {
    rewrites: () => rewrites,
    stop: () => {
      clearInterval(flap)
      clearInterval(rewrite)
      disturbed.delay(0)
    },
  }
}

interface Look {
  readonly pid: number
  readonly started: number
  readonly rewrites: number
}

function sampleOf(load: SoakLoad, { pid, started, rewrites }: Look): SoakSample {
  const { answered, rewritten, errors } = load.counts()
  return {
    seconds: (performance.now() - started) / 1000,
    answered,
    rewritten,
    errors,
    rewrites,
    asked: registry.asked(),
    residentBytes: residentBytes(pid),
    openFiles: openFiles(pid),
  }
}

function lineOf(samples: readonly SoakSample[]): string {
  const last = samples.at(-1) as SoakSample
  const before = samples.at(-2) ?? { seconds: 0, answered: 0 }
  const rate = (last.answered - before.answered) / (last.seconds - before.seconds)
  return [
    `${Math.round(last.seconds)} s`.padStart(7),
    `${last.answered.toLocaleString('en-US')} reviews (${figure(rate)}/s)`.padStart(30),
    `${Math.round((100 * last.rewritten) / last.answered)} % rewritten`,
    `RSS ${megabytes(last.residentBytes)}`,
    `${last.openFiles} files open`,
    `${last.rewrites} rewrites`,
    `registry asked ${last.asked.toLocaleString('en-US')}`,
    `${last.errors} errors`,
  ].join('  ')
}

/** Memory of the second half compared with the first, without the first tenth, in which heaps grow to their size. */
function conclude(samples: readonly SoakSample[], errors: number, firstError: string | null): void {
  const under = samples.slice(Math.ceil(samples.length / 10), -1).map((one) => one.residentBytes)
  const half = Math.ceil(under.length / 2)
  const [first, second] = [median(under.slice(0, half)), median(under.slice(half))]
  print(
    `\nRSS: median of the first half ${megabytes(first)}, of the second ${megabytes(second)} (${ratio(second, first)})`,
  )
  print(`errors: ${errors}${firstError === null ? '' : `; the first: ${firstError}`}`)
  for (const file of writeSoakResults(samples)) print(file)
  if (errors > 0) process.exitCode = 1
}
