/** Decides many images with the webhook's decision: with more time for each, and not all at once. */
import pLimit from 'p-limit'
import type { Config } from '../config/config.ts'
import { decisionOf, readImage } from '../decision/resolve/decide-by-row.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import { createHelperRunner } from './credential-helper.ts'
import { createEngine } from './decision-engine.ts'

export interface BatchDeciderOptions {
  /** False to ask no registry, and to treat the first candidate as found. */
  readonly probe: boolean
  readonly secretsDirectory: string
  /** Has the variables of proxies and of AWS. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Receives a message about each credential that cannot be used. */
  readonly onProblem: (message: string) => void
}

export interface BatchDecider {
  readonly decide: Decide
  close(): Promise<void>
}

/** Milliseconds for one image. A person waits longer than an API server does. */
export const imageTimeoutMs = 10_000

/** Images decided at once: enough to hide the latency of registries, and too few to look like an attack on one. */
export const parallelImages = 8

export function createBatchDecider(config: Config, options: BatchDeciderOptions): BatchDecider {
  const { probe, secretsDirectory, env, onProblem } = options
  if (!probe) return { decide: decideWithoutProbing(config), close: () => Promise.resolve() }
  const engine = createEngine(config, {
    secretsDirectory,
    queryTimeoutMs: imageTimeoutMs / 2,
    env,
    runHelper: createHelperRunner(env),
    onProblem,
  })
  const limit = pLimit(parallelImages)
  return {
    // The timeout of an image starts when its turn comes.
    decide: (image, { pod }) =>
      limit(() => engine.decide(image, { pod, signal: () => AbortSignal.timeout(imageTimeoutMs) })),
    close: () => engine.close(),
  }
}

function decideWithoutProbing(config: Config): Decide {
  return (image, { pod }) => {
    const read = readImage(image, config, pod)
    if (!read.ok) return read
    const { reference } = read
    return decisionOf(image, resolveWithoutProbing(config, { reference, pod }))
  }
}
