/** Loads the config of a process that is starting: in its own thread, unless the file is large. */
import { statSync } from 'node:fs'
import type { Config } from './config.ts'
import { loadConfigInWorker } from './load-in-worker.ts'

/** Bytes: 1,000 rows. A byte takes up to 500 bytes of memory while it is parsed (src/yaml/limits.ts), so this takes 64 MiB at most. */
const maxBytes = 128 * 1024

/**
 * Loads a config file, and throws the same errors as `loadConfigInWorker`. The start of a worker takes longer than loading most
 * files, and leaves more memory in use than parsing does (bench/README.md, "Profiling notes").
 */
export async function loadFirstConfig(file: string): Promise<Config> {
  if (isLarge(file)) return loadConfigInWorker(file)
  const { loadConfig } = await import('./load.ts')
  return loadConfig(file)
}

/** False too for a file that cannot be read, which gets its error from `loadConfig`. */
function isLarge(file: string): boolean {
  try {
    return statSync(file).size > maxBytes
  } catch {
    return false
  }
}
