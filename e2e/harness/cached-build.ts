/** Builds that run once and are kept in the user's cache. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { logStep } from './log.ts'

/**
 * Creates a file or directory with `build` unless it exists. `build` writes to another path, which is renamed at the end:
 * an interrupted build leaves nothing under the final name.
 */
export async function buildOnce(
  target: string,
  description: string,
  build: (partial: string) => Promise<void>,
): Promise<void> {
  if (existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  const scratch = mkdtempSync(`${target}.partial-`)
  try {
    await logStep(`${description} into ${target}, once`, () => build(`${scratch}/result`))
    // Another run may have built the same in the meantime.
    if (!existsSync(target)) renameSync(`${scratch}/result`, target)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
