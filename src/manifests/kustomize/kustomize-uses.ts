/** Lists the images that kustomizations deploy, for the commands that read images from manifests. */
import { unknownPod } from '../../decision/fallback/pod-context.ts'
import { autoImage } from '../../decision/resolve/decide-by-row.ts'
import type { ManifestFile } from '../manifest-files.ts'
import type { ManifestImage } from '../manifest-images.ts'
import type { WorkloadKind } from '../pod-locations.ts'
import { type BuiltImage, type EntryStep, TooManyStepsError } from './build-images.ts'
import { listText } from './edit-kustomization.ts'
import { imageOfEntry } from './image-entry.ts'
import { buildAsIs, type KustomizePlan, planKustomize } from './kustomize-plan.ts'
import type { KustomizeNode } from './load-graph.ts'

/** An image, and the kustomization that deploys it. */
export interface KustomizedImage extends ManifestImage {
  /** The path of the kustomization, as the user wrote it. */
  readonly file: string
}

export interface KustomizeUses {
  readonly images: readonly KustomizedImage[]
  /** Whether kustomizations read a file, so that its images count only as they are deployed. */
  readonly isBuilt: (file: ManifestFile) => boolean
  /** What could not be followed. */
  readonly notes: readonly string[]
}

const tooLarge: KustomizeUses = {
  images: [],
  isBuilt: () => false,
  notes: ['the kustomizations are too large to follow; the images of their files are read instead'],
}

/** Returns the images of the kustomizations that no other given one reads. */
export function kustomizeUses(
  files: readonly ManifestFile[],
  workloads: readonly WorkloadKind[],
): KustomizeUses {
  const plan = planKustomize(files, workloads)
  const used = new Map<KustomizeNode, Set<number>>()
  const onStep = ({ node, index }: EntryStep) => {
    const known = used.get(node)
    if (known === undefined) used.set(node, new Set([index]))
    else known.add(index)
  }
  const build = buildAsIs(plan, { patchesReplace: true, onStep })
  try {
    const images = plan.roots.flatMap((root) =>
      build(root).flatMap((image) => imagesOf(plan, root, image)),
    )
    return {
      images: [...images, ...unreadImages(plan, used)],
      isBuilt: ({ state }) => state !== null && plan.readers.has(state.realPath),
      notes: plan.graph.nodes.flatMap(notesOf),
    }
  } catch (error) {
    if (error instanceof TooManyStepsError) return tooLarge
    throw error
  }
}

function imagesOf(
  { namespaceOf }: KustomizePlan,
  root: KustomizeNode,
  { site, old, isCovered }: BuiltImage,
): KustomizedImage[] {
  if (!site.isPulled || !(site.isKnown || isCovered || site.isPatch)) return []
  // Some versions of kustomize do not apply the entry.
  const images = site.entriesApply === 'sometimes' && site.isKnown ? [old, site.image] : [old]
  const pod = { ...site.context, namespace: namespaceOf(root) ?? site.context.namespace }
  return [...new Set(images)]
    .filter((image) => image !== autoImage)
    .map((image) => ({ image, pod, object: site.object, file: root.file.name }))
}

/** Returns the images of entries that apply to nothing that Berth can read, but maybe to a remote base. */
function unreadImages(
  { graph, isOpen, namespaceOf }: KustomizePlan,
  used: ReadonlyMap<KustomizeNode, ReadonlySet<number>>,
): KustomizedImage[] {
  return graph.nodes.filter(isOpen).flatMap((node) =>
    node.kustomization.entries.flatMap((entry, index) => {
      const image = used.get(node)?.has(index) === true ? null : imageOfEntry(entry)
      if (image === null) return []
      const pod = { ...unknownPod, namespace: namespaceOf(node) }
      return [{ image, pod, object: 'an entry of images', file: node.file.name }]
    }),
  )
}

export function notesOf({ file, unread, problems }: KustomizeNode): string[] {
  const missing = [...new Set(unread)]
  return [
    ...(missing.length === 0
      ? []
      : [`${file.name}: cannot follow ${listText(missing)}: their images are missing`]),
    ...problems.map(
      (problem) =>
        `${file.name}: the images may differ from those that kustomize builds: ${problem}`,
    ),
  ]
}
