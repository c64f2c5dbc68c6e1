/** `npm run bench`: runs all benchmarks, or the named ones. bench/README.md describes the options. */
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { describeMachine, pinningObstacle } from './lib/machine.ts'
import type { BenchOutcome } from './lib/outcome.ts'
import { print } from './lib/report.ts'
import {
  type BenchResults,
  describeComparison,
  describeSlower,
  findMissing,
  findSlower,
  readResults,
  writeResults,
} from './lib/results.ts'
import { repository } from './lib/workspace.ts'

interface BenchOptions {
  readonly isShort: boolean
  /** Another checkout of Berth. */
  readonly baseline: string | undefined
  /** Definition files of other webhooks. */
  readonly peers: readonly string[]
}

/** Null: nothing to compare with earlier results. */
type Bench = (options: BenchOptions) => Promise<BenchOutcome | null>

const benches: Readonly<Record<string, Bench>> = {
  admission: async (options) => (await import('./admission.ts')).benchAdmission(options),
  commands: async ({ isShort }) => (await import('./commands.ts')).benchCommands(isShort),
  table: async ({ isShort }) => (await import('./table.ts')).benchTable(isShort),
  mirror: async ({ isShort }) => {
    await (await import('./mirror.ts')).benchMirror(isShort)
    return null
  },
  apiserver: async ({ isShort }) => (await import('./apiserver.ts')).benchApiServer(isShort),
}

const { values, positionals } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    baseline: { type: 'string' },
    peer: { type: 'string', multiple: true, default: [] },
    save: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
  allowPositionals: true,
})

process.exitCode = await main()

async function main(): Promise<number> {
  const unknown = positionals.find((name) => !Object.hasOwn(benches, name))
  const isUncommitted = (name: string) => values.check && readResults(name) === null
  const problem =
    pinningObstacle() ??
    (unknown === undefined
      ? null
      : `unknown benchmark "${unknown}"; use one of ${Object.keys(benches).join(', ')}`) ??
    positionals
      .filter(isUncommitted)
      .map((name) => `bench/results/${name}.json does not exist; run with --save first`)[0] ??
    null
  if (problem !== null) {
    process.stderr.write(`bench: ${problem}\n`)
    return 2
  }
  print(`Machine: ${describeMachine()}`)
  let isSlower = false
  for (const [name, bench] of Object.entries(benches)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    if (isUncommitted(name)) continue
    print(`\n# ${name}\n`)
    const outcome = await bench({
      isShort: values.short,
      baseline: values.baseline,
      peers: values.peer,
    })
    if (outcome === null) continue
    const { noise } = outcome
    if (noise !== null)
      print(
        `Of ${noise.rounds} rounds, other programs disturbed ${noise.disturbed}; ${noise.repeated} were repeated.\n`,
      )
    if (values.save) writeResults(name, resultsOf(outcome))
    if (values.check) isSlower = check(name, outcome) || isSlower
  }
  return isSlower ? 1 : 0
}

function resultsOf(outcome: BenchOutcome): BenchResults {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: repository,
    encoding: 'utf8',
  })
  return { machine: describeMachine(), commit: commit.trim(), isShort: values.short, ...outcome }
}

/** Prints which ratios are worse than the committed ones. Returns whether there are any. */
function check(name: string, { comparisons }: BenchOutcome): boolean {
  const before = readResults(name)?.comparisons ?? []
  const slower = findSlower(before, comparisons)
  for (const each of slower) process.stderr.write(`bench: ${name}: ${describeSlower(each)}\n`)
  const missing = findMissing(before, comparisons).map(describeComparison)
  if (missing.length > 0) print(`Not measured, and so not checked: ${missing.join('; ')}`)
  if (slower.length === 0)
    print(
      `${name}: none of ${before.length - missing.length} ratios is worse than in bench/results/${name}.json`,
    )
  return slower.length > 0
}
