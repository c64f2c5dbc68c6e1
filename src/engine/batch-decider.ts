/** Decides many images with the webhook's decision: with more time for each, and not all at once. */
import pLimit from 'p-limit'
import type { Config } from '../config/config.ts'
import { decisionOf, readImage } from '../decision/resolve/decide-by-row.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import { imageTimeoutMs, parallelImages } from './batch-limits.ts'

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

/** Loads the registry client only if images are probed. */
export async function createBatchDecider(
  config: Config,
  options: BatchDeciderOptions,
): Promise<BatchDecider> {
  const { probe, secretsDirectory, env, onProblem } = options
  if (!probe) return { decide: decideWithoutProbing(config), close: () => Promise.resolve() }
  const [{ createEngine }, { createHelperRunner }] = await Promise.all([
    import('./decision-engine.ts'),
    import('./credential-helper.ts'),
  ])
  const engine = createEngine(config, {
    secretsDirectory,
    queryTimeoutMs: imageTimeoutMs / 2,
    env,
    runHelper: createHelperRunner(env),
    ownLogin: true,
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
