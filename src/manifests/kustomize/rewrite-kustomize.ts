/**
 * Rewrites images that kustomize builds. If an entry of `images:` replaces an image, the image stays in its file, and the
 * entry changes. Other images are rewritten in their files, and entries that name them get the new name.
 */
import { type PodContext, unknownPod } from '../../decision/fallback/pod-context.ts'
import type { ManifestFile } from '../manifest-files.ts'
import type { RewriteDependencies, RewriteOptions } from '../rewrite.ts'
import type { KeptImages } from './kept-images.ts'
import { type BuiltImage, type EntryStep, TooManyStepsError } from './build-images.ts'
import { finishKustomize, type KustomizeResult } from './finish-kustomize.ts'
import { imageOfEntry } from './image-entry.ts'
import { createImageDecider } from './image-decider.ts'
import { buildAsIs, buildRoots, type KustomizePlan, planKustomize } from './kustomize-plan.ts'
import type { KustomizeNode } from './load-graph.ts'

/** What becomes of the kustomizations among some files. */
export interface KustomizeRewrite {
  /** Returns how the images of a file are decided; null if no kustomization reads it. */
  readonly keptIn: (file: ManifestFile) => KeptImages | null
  /** Receives the new texts of all files, and moves the entries. */
  readonly finish: (textOf: (file: ManifestFile) => string) => KustomizeResult
}

/** The images of one file that stay, with what the roots deploy instead. */
type FinalImages = ReadonlyMap<string, string>

export async function prepareKustomize(
  { decide, policy, workloads }: RewriteDependencies,
  files: readonly ManifestFile[],
  options: Pick<RewriteOptions, 'namespace' | 'owners' | 'signal'>,
): Promise<KustomizeRewrite | null> {
  const plan = planKustomize(files, workloads)
  if (plan.graph.nodes.length + plan.graph.invalid.length === 0) return null
  const decider = createImageDecider(decide, policy, options.signal)
  const steps: EntryStep[] = []
  let images: BuiltImage[] = []
  try {
    images = buildRoots(
      plan,
      buildAsIs(plan, { patchesReplace: false, onStep: (step) => steps.push(step) }),
    )
  } catch (error) {
    if (!(error instanceof TooManyStepsError)) throw error
    for (const node of plan.graph.nodes) node.problems.push('the kustomizations are too large')
  }
  const finals = finalImages(images)
  const contexts = createContexts(plan, options)
  await Promise.all([
    ...steps
      .filter(({ node, isLast }) => isLast && node.file.isGiven)
      .map((step) => decider.decide(step.oldOut, contexts.ofStep(step))),
    ...plan.graph.nodes.flatMap((node) =>
      node.kustomization.entries.flatMap((entry) => {
        const image = node.file.isGiven ? imageOfEntry(entry) : null
        return image === null ? [] : [decider.decide(image, contexts.ofNode(node))]
      }),
    ),
  ])
  return {
    keptIn: ({ state }) => {
      const readers = state === null ? undefined : plan.readers.get(state.realPath)
      if (state === null || readers === undefined) return null
      const namespaces = new Set(readers.map(plan.namespaceOf))
      const [namespace = null] = namespaces.size === 1 ? namespaces : []
      const final = finals.get(state.realPath)
      return { namespace, finalOf: (image) => final?.get(image) ?? null }
    },
    finish: (textOf) =>
      finishKustomize(
        {
          plan,
          decisionOf: (step) => decider.decided(step.oldOut, contexts.ofStep(step)),
          decisionOfEntry: (node, image) => decider.decided(image, contexts.ofNode(node)),
        },
        files,
        textOf,
      ),
  }
}

interface Contexts {
  ofStep(step: EntryStep): PodContext
  ofNode(node: KustomizeNode): PodContext
}

function createContexts(
  { namespaceOf }: KustomizePlan,
  { namespace, owners }: Pick<RewriteOptions, 'namespace' | 'owners'>,
): Contexts {
  return {
    ofStep: ({ node, image: { site } }) => ({
      ...site.context,
      namespace: namespaceOf(node) ?? site.context.namespace ?? namespace,
      owners: site.context.owners ?? owners,
    }),
    ofNode: (node) => ({ ...unknownPod, namespace: namespaceOf(node) ?? namespace, owners }),
  }
}

/** Returns, for each file, the images that an entry replaces in everything that the roots deploy. */
function finalImages(images: readonly BuiltImage[]): ReadonlyMap<string, FinalImages> {
  const finals = new Map<string, Map<string, string>>()
  const inPlace = new Set<string>()
  for (const { site, old, isCovered } of images) {
    if (site.file === null) continue
    const { realPath } = site.file
    if (!isCovered || site.entriesApply !== 'always') inPlace.add(`${realPath} ${site.image}`)
    const ofFile = finals.get(realPath) ?? new Map<string, string>()
    if (!ofFile.has(site.image)) ofFile.set(site.image, old)
    finals.set(realPath, ofFile)
  }
  for (const [realPath, ofFile] of finals)
    for (const image of ofFile.keys()) if (inPlace.has(`${realPath} ${image}`)) ofFile.delete(image)
  return finals
}
