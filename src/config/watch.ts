/** Reloads the config when its file or its lock file changes. An invalid file keeps the current config in use. */
import { statSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Config } from './config.ts'
import { readLimitedFile, TooLargeError } from '../files/read-limited.ts'
import { configLimits } from '../yaml/limits.ts'
import { loadConfigInWorker } from './load-in-worker.ts'

export interface WatchOptions {
  /** The config in use. The file may already be newer. */
  readonly current: Config
  readonly onConfig: (config: Config) => void
  readonly onError: (error: unknown) => void
  /** Milliseconds between two polls. */
  readonly intervalMs?: number | undefined
  /** Loads the config; in a worker thread if it is left out. */
  readonly load?: typeof loadConfigInWorker
}

/** The kubelet takes up to a minute to update a ConfigMap, so one more second does not matter. */
const defaultIntervalMs = 1_000

/**
 * Calls `onConfig` or `onError` for each new content of the config file or its lock file. Polls with stat, which follows the
 * symbolic links that the kubelet swaps when a ConfigMap changes. File system events do not.
 */
export function watchConfig(
  file: string,
  {
    current,
    onConfig,
    onError,
    intervalMs = defaultIntervalMs,
    load = loadConfigInWorker,
  }: WatchOptions,
): { stop(): void } {
  let lockFile = current.lock?.file ?? null
  let texts: readonly (string | null)[] = [current.source, current.lock?.source ?? null]
  let fileStates: readonly string[] = []
  let isLoading = false
  const stopped = new AbortController()
  const poll = async () => {
    if (isLoading) return
    // Stat before reading, so that a change in between is found by the next poll.
    const newStates = [file, ...(lockFile === null ? [] : [lockFile])].map(fileState)
    if (isDeepStrictEqual(newStates, fileStates)) return
    fileStates = newStates
    const newTexts = [textOf(file), lockFile === null ? null : textOf(lockFile)]
    if (isDeepStrictEqual(newTexts, texts)) return
    texts = newTexts
    isLoading = true
    try {
      const config = await load(file, stopped.signal)
      if (stopped.signal.aborted) return
      lockFile = config.lock?.file ?? null
      texts = [config.source, config.lock?.source ?? null]
      onConfig(config)
    } catch (error) {
      if (!stopped.signal.aborted) onError(error)
    } finally {
      isLoading = false
    }
  }
  const timer = setInterval(() => void poll(), intervalMs)
  void poll()
  return {
    stop: () => {
      clearInterval(timer)
      stopped.abort()
    },
  }
}

/** Returns a text that changes when the file changes or is replaced; empty if there is no file. */
function fileState(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  } catch {
    return ''
  }
}

/** Returns the text of a file; null if it cannot be read. */
function textOf(file: string): string | null {
  try {
    return readLimitedFile(file, configLimits.length).toString('utf8')
  } catch (error) {
    return error instanceof TooLargeError ? error.message : null
  }
}
