/** Compares what two configs decide for the same images. Asks no registry. */
import { exampleImage } from '../decision/fallback/example-image.ts'
import { pullPolicyFor } from '../decision/pod/pull-policy.ts'
import { missingPullSecrets } from '../decision/pod/pull-secrets.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import { needsPin } from '../decision/resolve/resolve-policy.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import type { Config } from './config.ts'

/** An image to decide, in a namespace. */
export interface ComparedImage {
  readonly image: string
  readonly namespace: string
  /** What uses the image, for people. */
  readonly by: string
}

/** What a config says about an image. The names are the contract of `berth diff -o json`. */
export interface StaticDecision {
  readonly row: string | null
  /** In the order in which they are tried; the image itself if no row matches. */
  readonly candidates: readonly string[]
  /** Whether a digest is added. */
  readonly pinned: boolean
  /** Null if the pod's own pull policy stays. */
  readonly pullPolicy: string | null
  readonly pullSecrets: readonly string[]
}

export interface DecisionDifference extends ComparedImage {
  readonly old: StaticDecision
  readonly new: StaticDecision
}

/** Returns the images that the two configs decide differently. Images that do not parse are left out. */
export function compareDecisions(
  oldConfig: Config,
  newConfig: Config,
  images: readonly ComparedImage[],
): DecisionDifference[] {
  return images.flatMap((compared) => {
    const [before, after] = [decide(oldConfig, compared), decide(newConfig, compared)]
    const isSame = JSON.stringify(before) === JSON.stringify(after)
    if (before === null || after === null || isSame) return []
    return [{ ...compared, old: before, new: after }]
  })
}

function decide(config: Config, { image, namespace }: ComparedImage): StaticDecision | null {
  const parsed = parseReference(image)
  if (!parsed.ok) return null
  const { reference } = parsed
  const { row, steps, chosen, kind } = resolveWithoutProbing(config, { reference, namespace })
  return {
    row,
    candidates:
      steps.length === 0
        ? [formatReference(chosen)]
        : steps.map(({ candidate }) => candidate.image),
    pinned: needsPin(config, reference, { reference: chosen, kind }),
    pullPolicy: pullPolicyFor(config.pullPolicy, chosen, undefined) ?? null,
    pullSecrets: missingPullSecrets(config.pullSecrets, {}, [chosen]),
  }
}

/** Returns one image for each pattern and each test of the configs, each image of a namespace once. */
export function sampleImages(configs: readonly Config[]): ComparedImage[] {
  const images = configs.flatMap(({ table, tests }) => [
    ...table.rows.flatMap(({ name, images: patterns }) =>
      patterns.map((pattern) => ({
        image: formatReference(exampleImage(pattern)),
        namespace: 'default',
        by: `a sample of ${pattern.text}, row ${name}`,
      })),
    ),
    ...tests.map(({ image, namespace }) => ({ image, namespace, by: 'tests' })),
  ])
  const first = new Map<string, ComparedImage>()
  for (const each of images) {
    const key = `${each.namespace} ${each.image}`
    if (!first.has(key)) first.set(key, each)
  }
  return [...first.values()]
}
