/** Runs in a worker thread: loads a config file, and hands it over as plain data. */
import { parentPort, workerData } from 'node:worker_threads'
import { BerthError } from '../errors.ts'
import { toData } from './config-data.ts'
import type { WorkerResult } from './load-in-worker.ts'
import { loadValidConfig } from './load.ts'

function load(file: string): WorkerResult {
  try {
    return { ok: true, data: toData(loadValidConfig(file)) }
  } catch (error) {
    if (!(error instanceof BerthError)) throw error
    return { ok: false, code: error.code, message: error.message }
  }
}

// The port of a worker has no origin.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
parentPort?.postMessage(load(workerData as string))
