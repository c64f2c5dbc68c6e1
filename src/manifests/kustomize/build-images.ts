/** Follows images through kustomizations, from the files to what `kustomize build` prints. */
import { applyEntry, type ImageEntry, matchesName } from './image-entry.ts'
import type { KustomizeNode } from './load-graph.ts'
import type { KustomizeSite } from './kustomize-sites.ts'

/** An image that passes through a kustomization. */
export interface BuiltImage {
  readonly site: KustomizeSite
  /** As the files have it now. */
  readonly old: string
  /** As the rewritten files have it. */
  readonly new: string
  /** Whether an entry of `images:` applied to it. */
  readonly isCovered: boolean
}

/** The last entry of a kustomization that applies to an image, or an earlier one. */
export interface EntryStep {
  readonly node: KustomizeNode
  /** The index of the entry. */
  readonly index: number
  readonly image: BuiltImage
  /** What the entry makes of the old image. */
  readonly oldOut: string
  /** Whether no later entry of this kustomization applies to the result. */
  readonly isLast: boolean
}

export interface BuildOptions {
  /** The image fields of the files and patches of a kustomization itself. */
  readonly sitesOf: (node: KustomizeNode) => readonly KustomizeSite[]
  /** The image of a field in the rewritten files. */
  readonly newImageOf: (site: KustomizeSite) => string
  /** What the changed entry makes of the new image. */
  readonly newOut: (step: EntryStep) => string
  /** The changed entries of a kustomization. If given, they are applied to new images instead of `newOut`. */
  readonly newEntriesOf?: (node: KustomizeNode) => readonly ImageEntry[]
  /** Whether the image of a patch replaces the one that it patches. False keeps both, which is safe if the patch is not understood. */
  readonly patchesReplace: boolean
}

/** Visited kustomizations, and images that they pass on. Ten times as many as the largest repositories need. */
const maxSteps = 5_000_000

/** The kustomizations need more steps than allowed. */
export class TooManyStepsError extends Error {}

export interface Build {
  /** Returns the images that `kustomize build` prints for a kustomization. Throws TooManyStepsError. */
  (node: KustomizeNode): readonly BuiltImage[]
}

/** Returns a function that builds; it remembers what it has built. */
export function createBuild(options: BuildOptions): Build {
  const built = new Map<KustomizeNode, readonly BuiltImage[]>()
  let steps = 0
  const step = (count: number) => {
    steps += count
    if (steps > maxSteps) throw new TooManyStepsError()
  }
  const build: Build = (node) => {
    const known = built.get(node)
    if (known !== undefined) return known
    const images = accumulate(node, [])
    built.set(node, images)
    return images
  }
  /** The order is that of kustomize: resources, components, patches, `images` (api/internal/target, kusttarget.go). */
  const accumulate = (node: KustomizeNode, before: readonly BuiltImage[]): BuiltImage[] => {
    const own = options.sitesOf(node).map((site): BuiltImage => ({
      site,
      old: site.image,
      new: options.newImageOf(site),
      isCovered: false,
    }))
    const resources = own.filter(({ site }) => !site.isPatch)
    let images = distinct([
      ...before,
      ...resources,
      ...node.bases.flatMap((base) => [...build(base)]),
    ])
    step(images.length + 1)
    for (const component of node.components) images = accumulate(component, images)
    const patches = own.filter(({ site }) => site.isPatch)
    images = distinct([
      ...(options.patchesReplace ? unpatched(images, patches) : images),
      ...patches,
    ])
    step(images.length * (node.kustomization.entries.length + 1))
    return distinct(images.map((image) => applyEntries(node, image, options)))
  }
  return build
}

function distinct(images: readonly BuiltImage[]): BuiltImage[] {
  const byKey = new Map(
    images.map((image) => [
      [image.site.key, image.old, image.new, image.isCovered].join(' '),
      image,
    ]),
  )
  return [...byKey.values()]
}

/** Returns the images that no patch replaces. */
function unpatched(
  images: readonly BuiltImage[],
  patches: readonly BuiltImage[],
): readonly BuiltImage[] {
  const keys = new Set(patches.flatMap(({ site }) => site.patchKeys))
  return images.filter(({ site }) => !site.patchKeys.some((key) => keys.has(key)))
}

function applyEntries(
  node: KustomizeNode,
  image: BuiltImage,
  { newOut, newEntriesOf }: BuildOptions,
): BuiltImage {
  if (image.site.entriesApply === 'never') return image
  const { entries } = node.kustomization
  let current = image
  for (const [index, entry] of entries.entries()) {
    if (!matchesName(entry.name, current.old)) continue
    const oldOut = applyEntry(entry, current.old)
    const isLast = !entries.slice(index + 1).some(({ name }) => matchesName(name, oldOut))
    const newImage = newOut({ node, index, image: current, oldOut, isLast })
    current = { site: image.site, old: oldOut, new: newImage, isCovered: true }
  }
  if (newEntriesOf === undefined) return current
  const newImage = newEntriesOf(node).reduce((each, entry) => applyEntry(entry, each), image.new)
  return { ...current, new: newImage }
}
