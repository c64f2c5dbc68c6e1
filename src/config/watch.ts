/** Live reload: the config follows its file, and a broken file changes nothing but a metric and a log line. */
import { statSync } from 'node:fs'
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
 * Calls back for each new content of the file, or of the lock file that it names. Polls by stat, which follows the
 * symbolic links that the kubelet swaps when a ConfigMap changes; change events of the file system do not.
 */
export function watchConfig(
  file: string,
  { inForce, onConfig, onError }: WatchOptions,
): { stop(): void } {
  let lockFile = inForce.lock?.file ?? null
  let seen: readonly (string | null)[] = [inForce.source, inForce.lock?.source ?? null]
  let stamps: readonly string[] = []
  const look = () => {
    // Stamps are taken before the texts: what changes in between is looked at once more, and never passed over.
    const now = [file, ...(lockFile === null ? [] : [lockFile])].map(stampOf)
    if (isDeepStrictEqual(now, stamps)) return
    stamps = now
    const texts = [textOf(file), lockFile === null ? null : textOf(lockFile)]
    if (isDeepStrictEqual(texts, seen)) return
    seen = texts
    try {
      const config = loadConfig(file)
      lockFile = config.lock?.file ?? null
      seen = [config.source, config.lock?.source ?? null]
      onConfig(config)
    } catch (error) {
      onError(error)
    }
  }
  const timer = setInterval(look, intervalMs)
  look()
  return { stop: () => clearInterval(timer) }
}

/** Changes whenever the file does, or another one takes its place; empty while it cannot be looked at. */
function stampOf(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  } catch {
    return ''
  }
}
