/** What the kustomizations among the given files deploy, before anything is rewritten. */
import type { ManifestFile } from '../manifest-files.ts'
import type { WorkloadKind } from '../pod-locations.ts'
import {
  type Build,
  type BuildOptions,
  type BuiltImage,
  createBuild,
  type EntryStep,
} from './build-images.ts'
import {
  type KustomizeSite,
  type SitesOf,
  sitesOfFile,
  sitesOfPatch,
  testsImage,
} from './kustomize-sites.ts'
import {
  type KustomizeGraph,
  type KustomizeNode,
  loadKustomizeGraph,
  type ResourceFile,
} from './load-graph.ts'

export interface KustomizePlan {
  readonly graph: KustomizeGraph
  /** The kustomizations that no other one reads. */
  readonly roots: readonly KustomizeNode[]
  readonly sitesOf: SitesOf
  readonly sitesOfNode: (node: KustomizeNode) => readonly KustomizeSite[]
  /** The paths without links of all files that kustomizations read, with the kustomizations. */
  readonly readers: ReadonlyMap<string, readonly KustomizeNode[]>
  /** The namespace that a kustomization and its parents give to objects; null if they give none, or several. */
  readonly namespaceOf: (node: KustomizeNode) => string | null
  /** Whether entries of a kustomization may also apply to images that Berth cannot read. */
  readonly isOpen: (node: KustomizeNode) => boolean
}

export function planKustomize(
  files: readonly ManifestFile[],
  workloads: readonly WorkloadKind[],
): KustomizePlan {
  const graph = loadKustomizeGraph(files)
  const sitesOf = createSitesOf(graph, workloads)
  const readers = new Map<string, KustomizeNode[]>()
  for (const node of graph.nodes) {
    for (const file of filesOf(node)) {
      const known = readers.get(file.realPath)
      if (known === undefined) readers.set(file.realPath, [node])
      else if (!known.includes(node)) known.push(node)
    }
    for (const file of node.files) if (sitesOf(file) === null) node.unread.push(file.name)
    if (node.patches.some(testsImage))
      node.problems.push('a patch tests an image, and fails when the image is rewritten')
  }
  const sitesOfNode = memoize((node: KustomizeNode) => [
    ...node.files.flatMap((file) => sitesOf(file) ?? []),
    ...node.patches.flatMap((patch) => sitesOfPatch(patch, { owner: node.file, sitesOf })),
  ])
  const roots = graph.nodes.filter(({ parents }) => parents.length === 0)
  /** The outermost kustomization decides the namespace. */
  const namespaceOf = memoize((node: KustomizeNode): string | null => {
    const outer = new Set(node.parents.map((parent) => namespaceOf(parent)))
    const [first = null] = outer
    return outer.size > 1 ? null : (first ?? node.kustomization.namespace)
  })
  return { graph, roots, sitesOf, sitesOfNode, readers, namespaceOf, isOpen: createIsOpen() }
}

function createIsOpen(): (node: KustomizeNode) => boolean {
  const hasUnread = memoize(
    (node: KustomizeNode): boolean =>
      node.unread.length > 0 || [...node.bases, ...node.components].some((each) => hasUnread(each)),
  )
  // Entries of a component apply to what the kustomizations have that read it; some of these may not be among the files.
  return (node) =>
    hasUnread(node) ||
    (node.kustomization.isComponent &&
      (node.parents.length === 0 || node.parents.some((parent) => hasUnread(parent))))
}

/** Returns the files that a kustomization reads itself. */
export function filesOf({ files, patches }: KustomizeNode): ResourceFile[] {
  return [...files, ...patches.flatMap(({ file }) => file ?? [])]
}

function createSitesOf(graph: KustomizeGraph, workloads: readonly WorkloadKind[]): SitesOf {
  const options = { workloads, imageFields: graph.imageFields }
  const find = memoize((file: ResourceFile) => sitesOfFile(file, file.text, options))
  return Object.assign((file: ResourceFile) => find(file), { options })
}

function memoize<Key, Value extends string | boolean | object | null>(
  compute: (key: Key) => Value,
): (key: Key) => Value {
  const values = new Map<Key, Value>()
  return (key) => {
    const known = values.get(key)
    if (known !== undefined) return known
    const value = compute(key)
    values.set(key, value)
    return value
  }
}

/** Builds with the files as they are. `onStep` receives each entry that applies to an image. */
export function buildAsIs(
  { sitesOfNode }: KustomizePlan,
  options: Pick<BuildOptions, 'patchesReplace'> & { readonly onStep?: (step: EntryStep) => void },
): Build {
  return createBuild({
    sitesOf: sitesOfNode,
    newImageOf: ({ image }) => image,
    newOut: (step) => {
      options.onStep?.(step)
      return step.oldOut
    },
    patchesReplace: options.patchesReplace,
  })
}

/** Returns the images that the roots deploy. */
export function buildRoots({ roots }: KustomizePlan, build: Build): BuiltImage[] {
  return roots.flatMap((root) => [...build(root)])
}
