/**
 * Loads a config file in a worker thread, so that the event loop can answer reviews at the same time. The worker's memory has
 * a limit, and is free when the worker ends.
 */
import { once } from 'node:events'
import { dirname } from 'node:path'
import sea from 'node:sea'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { BerthError, type ErrorCode } from '../errors.ts'
import type { Config } from './config.ts'
import { type ConfigData, fromData } from './config-data.ts'

export type WorkerResult =
  | { readonly ok: true; readonly data: ConfigData }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string }

/**
 * MiB of the worker's heap. 8,000 rows, which fill a ConfigMap, need between 64 and 96 to be parsed. A container of 384 MiB
 * has this much left while the webhook uses two such configs.
 */
const maxHeapMiB = 128

/** The build writes the worker's module next to its own files. */
const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './config-worker.ts' : './config-worker.cjs',
  import.meta.url,
)

/**
 * Loads a config file as `loadConfig` does, and throws the same errors. Throws `config-invalid` too if the file needs too much
 * memory. Rejects when the signal aborts; the worker then ends by itself, and the process does not wait for it. It is never
 * terminated: that can crash the process while the worker starts or reads a file (https://github.com/nodejs/node/issues/38418).
 */
export async function loadConfigInWorker(file: string, signal?: AbortSignal): Promise<Config> {
  const worker = startWorker({
    name: 'config',
    workerData: file,
    // By default a worker gets the flags of the process, and with `--input-type` it would not start.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMiB, maxYoungGenerationSizeMb: 16 },
  })
  // Without a listener, an error after the signal would end the process.
  worker.on('error', () => undefined)
  try {
    const [result] = (await once(worker, 'message', signal === undefined ? {} : { signal })) as [
      WorkerResult,
    ]
    if (!result.ok) throw new BerthError(result.code, result.message)
    return await fromData(result.data, dirname(file))
  } catch (error) {
    worker.unref()
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') throw error
    throw new BerthError(
      'config-invalid',
      `${file} needs more than ${maxHeapMiB} MiB of memory to read; replace rows that differ only in the image by one row with a pattern`,
      { cause: error },
    )
  }
}

/** The single-file executable has no files: its loader (tools/release/executable/loader.cjs) is an asset, and starts both programs. */
function startWorker(options: WorkerOptions): Worker {
  return sea.isSea()
    ? new Worker(sea.getAsset('loader.cjs', 'utf8'), { ...options, eval: true })
    : new Worker(workerUrl, options)
}
