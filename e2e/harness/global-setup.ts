import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { runDirectory } from './cluster.ts'
import { releaseOwnership, startCluster, stopCluster } from './cluster-provider.ts'
import { harnessModulesOf, prepare, prepareInCluster } from './prepare.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Whether all scenario files run. */
    isWholeSuite: boolean
  }
}

/**
 * Before all scenario files: builds what they need, and starts a fresh cluster, which `currentCluster()` finds. A failed
 * start leaves nothing running.
 */
export async function setup(project: TestProject): Promise<void> {
  const files = await selectedFiles(project)
  const modules = harnessModulesOf(files)
  project.provide('isWholeSuite', files.length === (await project.globTestFiles()).testFiles.length)
  // A parallel run has done this before it started its shards, which have no internet.
  if (process.env['BERTH_E2E_SHARD'] === undefined) await prepare(modules)
  // Scenarios start Berth hundreds of times. Compiling TypeScript is half of the time of a start.
  process.env['NODE_COMPILE_CACHE'] = join(runDirectory(), 'compile-cache')
  if (!isKept()) process.on('exit', stopClusterAtExit)
  try {
    const cluster = await startCluster({ owned: true })
    await prepareInCluster(cluster, modules)
  } catch (error) {
    await teardown()
    throw error
  }
}

/** After all scenario files. BERTH_E2E_KEEP=1 keeps the cluster and the logs in its run directory. */
export async function teardown(): Promise<void> {
  if (isKept()) return
  process.off('exit', stopClusterAtExit)
  await stopCluster()
}

/** Returns the scenario files of this run. Vitest marks the filters of its command line as internal. */
async function selectedFiles(project: TestProject): Promise<string[]> {
  const { filenamePattern } = project.vitest as { filenamePattern?: string[] }
  return (await project.globTestFiles(filenamePattern)).testFiles
}

/**
 * An interrupted Vitest exits without its teardown, and the cluster would stay. Nothing asynchronous runs at that point,
 * but another program can run to its end.
 */
function stopClusterAtExit(): void {
  if (!releaseOwnership()) return
  const script = fileURLToPath(new URL('down.ts', import.meta.url))
  spawnSync(process.execPath, [script], { stdio: 'inherit' })
}

function isKept(): boolean {
  return process.env['BERTH_E2E_KEEP'] === '1'
}
