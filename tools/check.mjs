// Runs the checks of `npm test`, prints the output of those that fail, then one line for each.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../node_modules/.bin/', import.meta.url))
const staticChecks = [
  ['types', 'tsc', '-p', '.'],
  ['types of the page', 'tsc', '-p', 'src/console/page'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['format', 'prettier', '--check', '--log-level', 'warn', '.'],
  ['dead code', 'knip', '--no-progress'],
  // Code that only tests use is dead too. Exports for tests have the tag @internal.
  ['code only for tests', 'knip', '--production', '--no-progress'],
]
const tests = ['tests', 'vitest', 'run', '--project', 'unit', '--project', 'wire']

function run([name, command, ...args]) {
  const started = Date.now()
  return new Promise((resolve) => {
    const env = { ...process.env, TMPDIR: scratch }
    const child = spawn(bin + command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => resolve({ name, ok: false, output: String(error), started }))
    child.on('close', (code) =>
      resolve({ name, ok: code === 0, output, seconds: (Date.now() - started) / 1000 }),
    )
  })
}

// The checks use this as TMPDIR; it is deleted at the end.
const scratch = mkdtempSync(join(tmpdir(), 'berth-check-'))
const results = []
// The static checks run in parallel. The tests run alone, because they are sensitive to load.
results.push(...(await Promise.all(staticChecks.map(run))))
results.push(await run(tests))
for (const { name, ok, output } of results) {
  if (!ok || name === 'tests') console.log(`\n--- ${name}\n${output.trim()}`)
}
rmSync(scratch, { recursive: true, force: true })
console.log()
for (const { name, ok, seconds } of results)
  console.log(`${ok ? 'ok    ' : 'FAILED'}  ${name}  ${seconds?.toFixed(1)} s`)
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1
