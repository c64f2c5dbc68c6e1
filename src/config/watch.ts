/** Live reload: the config follows its file, and a broken file changes nothing but a metric and a log line. */
import { unwatchFile, watchFile } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Config } from './config.ts'
import { loadConfig } from './load.ts'
import { textOf } from './lock-file.ts'

export interface WatchOptions {
  /** The config in force: what stands in the file now may be another one already. */
  readonly inForce: Config
  readonly onConfig: (config: Config) => void
  readonly onError: (error: unknown) => void
}

/** A ConfigMap reaches a node within a minute; a second more is nothing, and one stat a second costs nothing. */
const intervalMs = 1_000

/**
 * Calls back for each new content of the file, or of the lock file that it names. Polls by stat, which follows the symbolic links that the kubelet swaps
 * when a ConfigMap changes; change events of the file system do not.
 */
export function watchConfig(
  file: string,
  { inForce, onConfig, onError }: WatchOptions,
): { stop(): void } {
  let seen: readonly (string | null)[] = [inForce.source, inForce.lock?.source ?? null]
  let lockFile = inForce.lock?.file ?? null
  const look = () => {
    const texts = [textOf(file), lockFile === null ? null : textOf(lockFile)]
    if (isDeepStrictEqual(texts, seen)) return
    seen = texts
    try {
      const config = loadConfig(file)
      follow(config)
      onConfig(config)
    } catch (error) {
      onError(error)
    }
  }
  const follow = ({ source, lock }: Config) => {
    if (lockFile !== null) unwatchFile(lockFile, look)
    lockFile = lock?.file ?? null
    if (lockFile !== null) watchFile(lockFile, { interval: intervalMs }, look)
    seen = [source, lock?.source ?? null]
  }
  watchFile(file, { interval: intervalMs }, look)
  follow(inForce)
  look()
  return {
    stop: () => {
      unwatchFile(file, look)
      if (lockFile !== null) unwatchFile(lockFile, look)
    },
  }
}
