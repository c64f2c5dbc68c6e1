/** The webhook's decision for commands that decide many images: patiently, and not all at once. */
import pLimit from 'p-limit'
import type { Config } from '../config/config.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import { describeResolution } from '../decision/resolve/describe-resolution.ts'
import { createEngine, defaultSecretsDirectory } from './decision-engine.ts'

export interface BatchDeciderOptions {
  /** False: no registry is asked, and the first candidate counts as found. */
  readonly probe: boolean
  readonly secretsDirectory: string | undefined
  /** Receives a message about each credential that cannot be used. */
  readonly onProblem: (message: string) => void
}

export interface BatchDecider {
  readonly decide: Decide
  close(): Promise<void>
}

/** Milliseconds for one image: a person waits longer than an API server does. */
export const imageTimeoutMs = 10_000

/** Images decided at once: enough to hide the latency of registries, few enough not to look like an attack on one. */
export const parallelImages = 8

export function createBatchDecider(config: Config, options: BatchDeciderOptions): BatchDecider {
  const { probe, secretsDirectory, onProblem } = options
  if (!probe) return { decide: decideUnasked(config), close: () => Promise.resolve() }
  const engine = createEngine(config, {
    secretsDirectory: secretsDirectory ?? defaultSecretsDirectory,
    queryTimeoutMs: imageTimeoutMs / 2,
    onProblem,
  })
  const limit = pLimit(parallelImages)
  return {
    // An image's time begins when its turn has come.
    decide: (image, { namespace }) =>
      limit(() =>
        engine.decide(image, { namespace, signal: () => AbortSignal.timeout(imageTimeoutMs) }),
      ),
    close: () => engine.close(),
  }
}

/** Decides as if the first candidate were found. */
function decideUnasked(config: Config): Decide {
  return (image, { namespace }) => {
    const parsed = parseReference(image)
    if (!parsed.ok) return { ok: false, error: parsed.message }
    const resolution = resolveWithoutProbing(config, { reference: parsed.reference, namespace })
    return {
      ok: true,
      resolution,
      image: resolution.changed ? formatReference(resolution.chosen) : image,
      why: describeResolution(resolution),
    }
  }
}
