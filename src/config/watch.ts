/** Live reload: the config follows its file, and a broken file changes nothing but a metric and a log line. */
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import type { Config } from './config.ts'
import { loadConfig } from './load.ts'

export interface WatchOptions {
  /** The config in force: what stands in the file now may be another one already. */
  readonly inForce: Config
  readonly onConfig: (config: Config) => void
  readonly onError: (error: unknown) => void
}

/** A ConfigMap reaches a node within a minute; a second more is nothing, and one stat a second costs nothing. */
const intervalMs = 1_000

/**
 * Calls back for each new content of the file. Polls by stat, which follows the symbolic links that the kubelet swaps
 * when a ConfigMap changes; change events of the file system do not.
 */
export function watchConfig(
  file: string,
  { inForce, onConfig, onError }: WatchOptions,
): { stop(): void } {
  let seen: string | null = inForce.source
  const look = () => {
    const text = read(file)
    if (text === seen) return
    seen = text
    try {
      onConfig(loadConfig(file))
    } catch (error) {
      onError(error)
    }
  }
  watchFile(file, { interval: intervalMs }, look)
  look()
  return { stop: () => unwatchFile(file, look) }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
