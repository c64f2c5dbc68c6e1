/** Builds that run once and are kept in the user's cache. */
import {
  existsSync,
  globSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { log, logStep } from './log.ts'
import { isRunning, type ProcessRecord, startTimeOf } from './processes.ts'

/**
 * Creates a file or directory with `build` unless it exists. `build` writes to another path, which is renamed at the end:
 * an interrupted build leaves nothing under the final name. Another process that builds the same is waited for, because two
 * builds of Kubernetes at the same time take more than twice as long as one.
 */
export async function buildOnce(
  target: string,
  description: string,
  build: (partial: string) => Promise<void>,
): Promise<void> {
  if (existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  const unlock = await lock(`${target}.lock`, () =>
    log(`another process is ${description}; waiting for it`),
  )
  const scratch = mkdtempSync(`${target}.partial-`)
  try {
    // What killed builds have left.
    for (const left of globSync(`${target}.partial-*`))
      if (left !== scratch) rmSync(left, { recursive: true, force: true })
    if (existsSync(target)) return
    await logStep(`${description} into ${target}, once`, () => build(`${scratch}/result`))
    if (!existsSync(target)) renameSync(`${scratch}/result`, target)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
    unlock()
  }
}

/** Waits until no other running process has the lock file, and takes it. Calls `onWait` before it waits. */
async function lock(file: string, onWait: () => void): Promise<() => void> {
  const { pid } = process
  let isWaiting = false
  const own = `${file}-${pid}`
  // A link appears with its content, so that no process reads half of it.
  writeFileSync(own, JSON.stringify({ name: 'build', pid, startTime: startTimeOf(pid) }))
  try {
    while (!takes(own, file)) {
      if (!isHeld(file)) {
        rmSync(file, { force: true })
        continue
      }
      if (!isWaiting) onWait()
      isWaiting = true
      await sleep(500)
    }
  } finally {
    rmSync(own, { force: true })
  }
  return () => rmSync(file, { force: true })
}

/** Returns false if another process has the lock file. */
function takes(own: string, file: string): boolean {
  try {
    linkSync(own, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

/** Returns false if the process that took the lock has ended without removing it. */
function isHeld(file: string): boolean {
  try {
    return isRunning(JSON.parse(readFileSync(file, 'utf8')) as ProcessRecord)
  } catch (error) {
    // Released a moment ago: another process may have taken it by now, so that the caller must not remove it.
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}
