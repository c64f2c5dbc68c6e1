/** Compares a draft of the config with the config in use, for the images of running pods and a sample of each pattern. */
import { compareDecisions, type ComparedImage, sampleImages } from '../config/compare-decisions.ts'
import type { Config } from '../config/config.ts'
import { readConfig } from '../config/load.ts'
import type { PodImage } from '../report/inventory.ts'
import type { DraftResult } from './wire.ts'

/** Differences that the page shows. */
const maxDifferences = 500

/** Images that are compared; this takes a second. */
const maxImages = 20_000

/** Relative paths in the draft start from `directory`. */
export function compareDraft(
  text: string,
  { config, directory }: { readonly config: Config; readonly directory: string },
  running: Iterable<PodImage>,
): DraftResult {
  const read = readConfig(text, directory)
  if (!read.ok) return { ok: false, problems: read.problems }
  const images = [
    ...[...running].map(({ image, namespace, pod, pods }): ComparedImage => ({
      image,
      namespace,
      pod,
      by: pods === 1 ? '1 pod' : `${pods} pods`,
    })),
    ...sampleImages([config, read.config]),
  ].slice(0, maxImages)
  const differences = compareDecisions(config, read.config, images)
  return {
    ok: true,
    warnings: read.config.warnings,
    compared: images.length,
    differences: differences.slice(0, maxDifferences),
    more: Math.max(0, differences.length - maxDifferences),
  }
}
