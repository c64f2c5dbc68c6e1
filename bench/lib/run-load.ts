/** Runs the load generator on its core against one server. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { LoadOptions, LoadResult } from '../load.ts'
import { loadCore, serverCore } from './machine.ts'
import type { BenchReview } from './reviews.ts'
import type { Workspace } from './workspace.ts'

const generator = fileURLToPath(new URL('../load.ts', import.meta.url))

/** Much longer than warm-up, measurement and 256 handshakes; a server that hangs fails the run. */
const timeoutMs = 120_000

export interface LoadSettings {
  readonly port: number
  readonly pid: number
  readonly connections: number
  readonly warmMs: number
  readonly measureMs: number
  /** The bare servers always rewrite one image. */
  readonly images: number
  readonly path?: string | undefined
  readonly mirror?: string | undefined
}

export async function runLoad(
  { directory, ca }: Workspace,
  review: BenchReview,
  settings: LoadSettings,
): Promise<LoadResult> {
  const bodyFile = join(directory, `review-${review.body.length}.json`)
  writeFileSync(bodyFile, review.body)
  const options: LoadOptions = {
    ...settings,
    hasOneController: review.hasOneController,
    ca,
    bodyFile,
    core: serverCore,
  }
  const { stdout } = await promisify(execFile)(
    'taskset',
    ['-c', String(loadCore), process.execPath, generator, JSON.stringify(options)],
    { timeout: timeoutMs },
  )
  return JSON.parse(stdout) as LoadResult
}
