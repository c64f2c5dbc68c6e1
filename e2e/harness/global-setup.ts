import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { releaseOwnership, down, up } from './cluster-provider.ts'

/** Before all scenario files: a fresh cluster, which `currentCluster()` finds. A failed start leaves nothing running. */
export async function setup(): Promise<void> {
  if (keep()) return void (await up({ owned: true }))
  process.on('exit', downAtExit)
  try {
    await up({ owned: true })
  } catch (error) {
    await teardown()
    throw error
  }
}

/** After all scenario files. BERTH_E2E_KEEP=1 keeps the cluster, and the logs in its run directory, for a look around. */
export async function teardown(): Promise<void> {
  if (keep()) return
  process.off('exit', downAtExit)
  await down()
}

/**
 * Vitest ends at once, without its teardown, when it is interrupted, and the cluster would run on. At that point nothing
 * asynchronous gets its turn any more, but another program can still be run to its end.
 */
function downAtExit(): void {
  if (!releaseOwnership()) return
  const script = fileURLToPath(new URL('down.ts', import.meta.url))
  spawnSync(process.execPath, [script], { stdio: 'inherit' })
}

function keep(): boolean {
  return process.env['BERTH_E2E_KEEP'] === '1'
}
