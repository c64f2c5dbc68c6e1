/** Benchmarks commands from the start of the process to its end, compared with a Node.js process that does nothing. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { berthConfig, buildBerth } from './lib/berth.ts'
import { createNoiseGate } from './lib/noise-gate.ts'
import { figure, median, rotated } from './lib/numbers.ts'
import type { BenchOutcome } from './lib/outcome.ts'
import { printTable, progress } from './lib/report.ts'
import { ratioText } from './lib/results.ts'
import { makeWorkspace } from './lib/workspace.ts'

const rounds = { full: 20, short: 6 }

/** Each command runs this often in a round, and its median counts. */
const runsPerRound = 3

const nothing = 'node -e 0'

export async function benchCommands(isShort: boolean): Promise<BenchOutcome> {
  const workspace = await makeWorkspace()
  try {
    const main = buildBerth(workspace)
    const config = join(workspace.directory, 'berth.yaml')
    writeFileSync(config, berthConfig('http://127.0.0.1:1'))
    const explain = ['explain', 'nginx:1.27', '--config', config, '--no-probe']
    const commands = [
      { name: nothing, args: ['-e', '0'] },
      { name: 'berth version', args: [main, 'version'] },
      { name: 'berth check', args: [main, 'check', config] },
      { name: 'berth explain --no-probe', args: [main, ...explain] },
    ]
    const env = { PATH: process.env['PATH'] ?? '', HOME: workspace.directory }
    const run = (args: readonly string[]) => {
      const started = performance.now()
      execFileSync(process.execPath, args, { env, stdio: 'ignore' })
      return performance.now() - started
    }
    // The first run compiles, and fills the compile cache.
    for (const { args } of commands) run(args)
    const gate = createNoiseGate()
    const times = new Map<string, number[]>(commands.map(({ name }) => [name, []]))
    for (let round = 0; round < rounds[isShort ? 'short' : 'full']; round++) {
      progress(`commands, round ${round + 1}`)
      const taken = await gate.round(async (look) =>
        rotated(commands, round).map(({ name, args }) => {
          const runs = Array.from({ length: runsPerRound }, () => run(args))
          look()
          return { name, milliseconds: median(runs) }
        }),
      )
      for (const { name, milliseconds } of taken) times.get(name)?.push(milliseconds)
    }
    const valuesOf = (name: string) => times.get(name) ?? []
    printTable(
      ['command', 'ms', `× ${nothing}`],
      commands.map(({ name }) => [
        name,
        figure(median(valuesOf(name))),
        ratioText(valuesOf(name), valuesOf(nothing)),
      ]),
    )
    const comparisons = commands
      .filter(({ name }) => name !== nothing)
      .map(({ name }) => ({
        name: `${name}, ms`,
        baseline: nothing,
        better: 'less' as const,
        values: valuesOf(name),
        baselineValues: valuesOf(nothing),
      }))
    return { noise: gate.counts(), comparisons }
  } finally {
    workspace.remove()
  }
}
