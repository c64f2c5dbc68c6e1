/** Compares what two configs decide for the same images. Asks no registry. */
import { examplePod } from '../decision/fallback/example-pod.ts'
import type { PodCondition } from '../decision/fallback/pod-condition.ts'
import type { PodContext } from '../decision/fallback/pod-context.ts'
import type { FallbackRow } from '../decision/fallback/table.ts'
import { exampleImage } from '../decision/fallback/example-image.ts'
import { pullPolicyFor } from '../decision/pod/pull-policy.ts'
import { imagesToPull, missingPullSecrets } from '../decision/pod/pull-secrets.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import { isLeft } from '../decision/resolve/resolution.ts'
import { needsPin, planCandidates } from '../decision/resolve/resolve-policy.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import type { Config } from './config.ts'
import { podKey } from './pod-key.ts'

/** An image to decide, in a pod. */
export interface ComparedImage {
  readonly image: string
  readonly namespace: string
  readonly pod: PodContext
  /** What uses the image, for people. */
  readonly by: string
}

/** What a config says about an image. The names are the contract of `berth diff -o json`. */
export interface StaticDecision {
  readonly row: string | null
  /** In the order in which they are tried; the image itself if no row matches or the row leaves it unchanged. */
  readonly candidates: readonly string[]
  /** Whether a row leaves the image, its pull policy and its pull secrets unchanged. */
  readonly left: boolean
  /** Earlier rows that may apply: they depend on a part of the pod that is not known. */
  readonly undecidedRows: readonly string[]
  /** Whether a digest is added. */
  readonly pinned: boolean
  /** Null if the pod's own pull policy stays. */
  readonly pullPolicy: string | null
  readonly pullSecrets: readonly string[]
}

export interface DecisionDifference {
  readonly image: string
  readonly namespace: string
  readonly by: string
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
    const { image, namespace, by } = compared
    return [{ image, namespace, by, old: before, new: after }]
  })
}

function decide(config: Config, { image, pod }: ComparedImage): StaticDecision | null {
  const parsed = parseReference(image)
  if (!parsed.ok) return null
  const { reference } = parsed
  const resolution = resolveWithoutProbing(config, { reference, pod })
  const { row, steps, chosen, kind } = resolution
  const left = isLeft(resolution)
  const { pin } = planCandidates(config, { reference, pod })
  return {
    row,
    candidates:
      steps.length === 0
        ? [formatReference(chosen)]
        : steps.map(({ candidate }) => candidate.image),
    left,
    undecidedRows: resolution.undecidedRows,
    pinned: !left && needsPin(pin, reference, { reference: chosen, kind }),
    pullPolicy: left ? null : (pullPolicyFor(config.pullPolicy, chosen, pod) ?? null),
    pullSecrets: missingPullSecrets(config.pullSecrets, {
      context: pod,
      pod: {},
      images: imagesToPull([resolution]),
    }),
  }
}

/**
 * Returns images to compare: one for each pattern, in a pod that its row is for and in one for each condition of other
 * rules, and the images of the tests. Each is returned once for pods that the configs treat alike.
 */
export function sampleImages(configs: readonly Config[]): ComparedImage[] {
  return [...samplesOf(configs)].filter((each) => each !== null)
}

/**
 * Yields the same images one by one, and null in place of one that was yielded before: with many patterns and conditions,
 * there are more than a caller can wait for.
 */
export function* samplesOf(configs: readonly Config[]): Generator<ComparedImage | null, void> {
  const seen = new Set<string>()
  for (const config of configs)
    for (const each of samplesOfConfig(config, configs)) {
      const { namespace } = each.pod
      const keys = configs.map((other) => podKey(other, each.pod))
      const key = [namespace, each.image, ...keys].join(' ')
      yield seen.has(key) ? null : { ...each, namespace }
      seen.add(key)
    }
}

type Sample = Omit<ComparedImage, 'namespace'> & { readonly pod: { readonly namespace: string } }

function* samplesOfConfig(config: Config, configs: readonly Config[]): Generator<Sample, void> {
  const conditions = ruleConditions(config)
  for (const { name, images, when } of rowsToCompare(config, configs))
    for (const pattern of images) {
      const image = formatReference(exampleImage(pattern))
      const by = `a sample of ${pattern.text}, row ${name}`
      for (const condition of [when, ...conditions]) yield { image, pod: examplePod(condition), by }
    }
  for (const { image, namespace, labels, owners } of config.tests)
    yield { image, pod: { namespace, labels, owners }, by: 'tests' }
}

/** The rows of a config, with those of known conflicts only if the configs differ in them. */
function rowsToCompare({ table }: Config, configs: readonly Config[]): readonly FallbackRow[] {
  const counts = new Set(configs.map((each) => each.table.conflicts.rows.length))
  return counts.size > 1 ? [...table.rows, ...table.conflicts.rows] : table.rows
}

/** The distinct conditions outside the table. */
function ruleConditions({ pin, pullPolicy, pullSecrets }: Config): PodCondition[] {
  const conditions = [pin, ...pullPolicy, ...pullSecrets].flatMap(({ when }) => when ?? [])
  return [...new Map(conditions.map((each) => [each.text, each])).values()]
}
