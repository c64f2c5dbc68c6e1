/**
 * `npm run e2e:parallel`: runs scenario files on several clusters at the same time, each in a separate network namespace. A
 * cluster takes the next file when it is free. The output of a file is printed when the file has ended. Needs root.
 */
import { readdirSync, statSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { kernelSettings, restoreKernelSettings } from '../local-cluster/host-state.ts'
import { log } from '../log.ts'
import { repository } from '../paths.ts'
import { harnessModulesOf, prepare } from '../prepare.ts'
import { type Shard, startShard } from './shard.ts'

const directory = join(repository, 'e2e/scenarios')

/** Reads the audit logs of all clusters, so it runs when all other files have ended. */
const rightsFile = join(directory, 'rights.test.ts')

/**
 * Short files that take as long as files of this size, in bytes. They do not start last, so that no cluster waits for them, nor
 * at the same time, because both need the machine.
 */
const slowFiles: Readonly<Record<string, number>> = {
  'upgrades.test.ts': 100_000,
  'short-chaos.test.ts': 18_000,
}

/** Returns the paths that contain one of the filters, or all without filters; those that take longest first. */
function scenarioFiles(filters: readonly string[]): string[] {
  const size = (file: string) => slowFiles[basename(file)] ?? statSync(file).size
  return readdirSync(directory)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(directory, name))
    .filter((file) => file !== rightsFile)
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
    .sort((a, b) => size(b) - size(a))
}

/** A file with a failed test, and the last lines that it printed, which are about the failure. */
type FailedFile = { file: string; lastLines: string }

/** Lets a shard run files of the queue until it is empty or the shard has failed. Returns the files that failed. */
async function work(shard: Shard, queue: string[]): Promise<FailedFile[]> {
  const failed: FailedFile[] = []
  while (shard.isRunning()) {
    const file = queue.shift()
    if (file === undefined) break
    failed.push(...(await runFile(shard, file)))
  }
  return failed
}

/** Returns the file if it failed. */
async function runFile(shard: Shard, file: string): Promise<FailedFile[]> {
  const started = performance.now()
  const { isPassed, output } = await shard.run(file)
  const seconds = ((performance.now() - started) / 1_000).toFixed(0)
  log(
    `${isPassed ? 'passed' : 'FAILED'} on cluster ${shard.number} after ${seconds} s: ${nameOf(file)}`,
  )
  return isPassed ? [] : [{ file, lastLines: output.split('\n').slice(-100).join('\n') }]
}

function nameOf(file: string): string {
  return relative(repository, file)
}

const filters = process.argv.slice(2)
const count = Number(process.env['BERTH_E2E_SHARDS'] ?? 2)
const queue = scenarioFiles(filters)
if (queue.length === 0) throw new Error(`no file of ${directory} matches ${filters.join(' ')}`)
await prepare(harnessModulesOf(queue))

const started = performance.now()
const settings = kernelSettings()
const numbers = Array.from({ length: Math.min(count, queue.length) }, (_, index) => index + 1)
const shards = numbers.map((number) => startShard(number, numbers))
const failed = (await Promise.all(shards.map((shard) => work(shard, queue)))).flat()
const first = shards.find((shard) => shard.isRunning())
if (filters.length === 0 && first !== undefined) failed.push(...(await runFile(first, rightsFile)))
await Promise.all(shards.map((shard) => shard.stop()))
restoreKernelSettings(settings)
const notRun = queue.length === 0 ? '' : `, ${queue.length} did not run`
log(
  `${failed.length} files failed${notRun}, after ${((performance.now() - started) / 1_000).toFixed(0)} s`,
)
// Again, because a log of thousands of lines is often read, or kept, from its end.
for (const { file, lastLines } of failed) log(`the end of ${nameOf(file)}:\n${lastLines}`)
for (const { file } of failed) log(`FAILED ${nameOf(file)}`)
for (const file of queue) log(`DID NOT RUN ${nameOf(file)}`)
if (failed.length + queue.length > 0) process.exitCode = 1
