/**
 * Starts a cluster, runs the scenario files whose paths come over the IPC channel, and stops the cluster when that closes. Run
 * by `startShard`.
 */
import { createVitest } from 'vitest/node'
import type { FileResult } from './shard.ts'

const vitest = await createVitest('test', {
  project: ['e2e'],
  watch: false,
  reporters: [['verbose', { summary: false }]],
})
await vitest.standalone()

async function run(file: string): Promise<void> {
  const specifications = await vitest.getRelevantTestSpecifications([file])
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications)
  // The result has the modules of earlier runs too.
  const module = testModules.find(({ moduleId }) => moduleId === file)
  const result: FileResult = { isPassed: unhandledErrors.length === 0 && module?.ok() === true }
  process.send?.(result)
}

process.on('message', (file: string) => void run(file))
process.once('disconnect', () => void vitest.close().then(() => process.exit()))
// The handler of `exit` in global-setup.ts stops the cluster.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
