/** `npm run bench`: runs all benchmarks, or the named ones. `--short` runs fewer and shorter rounds. */
import { parseArgs } from 'node:util'
import { describeMachine, pinningObstacle } from './lib/machine.ts'
import { print } from './lib/report.ts'

const benches: Readonly<Record<string, (isShort: boolean, baseline?: string) => Promise<void>>> = {
  admission: async (isShort, baseline) =>
    (await import('./admission.ts')).benchAdmission(isShort, baseline),
  table: async (isShort) => (await import('./table.ts')).benchTable(isShort),
  mirror: async (isShort) => (await import('./mirror.ts')).benchMirror(isShort),
  apiserver: async (isShort) => (await import('./apiserver.ts')).benchApiServer(isShort),
}

const { values, positionals } = parseArgs({
  options: { short: { type: 'boolean', default: false }, baseline: { type: 'string' } },
  allowPositionals: true,
})
const unknown = positionals.find((name) => !Object.hasOwn(benches, name))
const obstacle = pinningObstacle()
if (unknown !== undefined || obstacle !== null) {
  process.stderr.write(
    `bench: ${obstacle ?? `unknown benchmark "${unknown}"; use one of ${Object.keys(benches).join(', ')}`}\n`,
  )
  process.exitCode = 2
} else {
  print(`Machine: ${describeMachine()}`)
  for (const [name, bench] of Object.entries(benches)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    print(`\n# ${name}\n`)
    await bench(values.short, values.baseline)
  }
}
