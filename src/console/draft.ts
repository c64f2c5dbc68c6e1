/** Compares a draft of the config with the config in use, for the images of running pods and a sample of each pattern. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  compareDecisions,
  type ComparedImage,
  type DecisionDifference,
  samplesOf,
} from '../config/compare-decisions.ts'
import type { Config } from '../config/config.ts'
import { readConfig } from '../config/load.ts'
import type { PodImage } from '../report/inventory.ts'
import type { DraftResult } from './wire.ts'

/** Differences that the page shows. */
const maxDifferences = 500

/** Images that are compared; this takes a second with a usual table. */
const maxImages = 20_000

/** Milliseconds for the comparison: a table of thousands of patterns takes minutes for this many images. */
const maxMs = 10_000

/** Milliseconds after which others have their turn. */
const turnMs = 20

export interface DraftOptions {
  /** The config in use. */
  readonly config: Config
  /** Relative paths in the draft start from here. */
  readonly directory: string
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** Compares in turns, so that the server answers other requests meanwhile. */
export async function compareDraft(
  text: string,
  { config, directory, now = () => performance.now() }: DraftOptions,
  running: Iterable<PodImage>,
): Promise<DraftResult> {
  const read = readConfig(text, directory)
  if (!read.ok) return { ok: false, problems: read.problems }
  const until = now() + maxMs
  let turnEnd = now() + turnMs
  const differences: DecisionDifference[] = []
  let compared = 0
  let isComplete = true
  for (const image of imagesToCompare([config, read.config], running)) {
    isComplete = compared < maxImages && now() <= until
    if (!isComplete) break
    if (now() > turnEnd) {
      await nextTurn()
      turnEnd = now() + turnMs
    }
    if (image === null) continue
    differences.push(...compareDecisions(config, read.config, [image]))
    compared += 1
  }
  return {
    ok: true,
    warnings: read.config.warnings,
    compared,
    isComplete,
    differences: differences.slice(0, maxDifferences),
    more: Math.max(0, differences.length - maxDifferences),
  }
}

/** Yields null for an image that was yielded before. */
function* imagesToCompare(
  configs: readonly [Config, Config],
  running: Iterable<PodImage>,
): Generator<ComparedImage | null, void> {
  for (const { image, namespace, pod, pods } of running)
    yield { image, namespace, pod, by: pods === 1 ? '1 pod' : `${pods} pods` }
  yield* samplesOf(configs)
}
