/** Makes overlays that rewrite the images of kustomizations, which stay as they are. */
import { stringify } from 'yaml'
import { deniedBy } from '../../decision/pod/site-warnings.ts'
import type { ManifestFile } from '../manifest-files.ts'
import type { RewriteDependencies, RewriteOptions } from '../rewrite.ts'
import { type BuiltImage, TooManyStepsError } from './build-images.ts'
import { applyEntry, type ImageEntry, splitImage } from './image-entry.ts'
import { createImageDecider } from './image-decider.ts'
import { buildAsIs, type KustomizePlan, planKustomize } from './kustomize-plan.ts'
import { notesOf } from './kustomize-uses.ts'
import type { KustomizeNode } from './load-graph.ts'
import { type EntryUse, membersOf, moveEntries } from './move-entries.ts'

/** The overlay of a kustomization that no other one reads. */
export interface KustomizeOverlay {
  /** The path of the kustomization, as the user wrote it, and without links. */
  readonly name: string
  readonly realPath: string
  /** The entries of `images`. */
  readonly entries: readonly ImageEntry[]
  readonly notes: readonly string[]
  /** Why there is no overlay; null if there is one. */
  readonly problem: string | null
}

export async function makeOverlays(
  { decide, policy, workloads }: RewriteDependencies,
  files: readonly ManifestFile[],
  options: Pick<RewriteOptions, 'namespace' | 'owners' | 'signal'>,
): Promise<KustomizeOverlay[]> {
  const plan = planKustomize(files, workloads)
  const decider = createImageDecider(decide, policy, options.signal)
  const build = buildAsIs(plan, { patchesReplace: false })
  const roots = plan.roots.filter(({ kustomization }) => !kustomization.isComponent)
  return Promise.all(
    roots.map(async (root): Promise<KustomizeOverlay> => {
      const all = nodesBelow(root)
      const { name, realPath } = root.file
      const overlay = { name, realPath, entries: [], notes: [], problem: null }
      const [problem] = all.flatMap(({ problems }) => problems)
      if (problem !== undefined) return { ...overlay, problem }
      const images = builtImages(() => build(root))
      if (images === null) return { ...overlay, problem: 'the kustomizations are too large' }
      const decided = await Promise.all(
        images.map(async ({ site, old }) => {
          const context = {
            ...site.context,
            namespace: plan.namespaceOf(root) ?? site.context.namespace ?? options.namespace,
            owners: site.context.owners ?? options.owners,
          }
          const decision = await decider.decide(old, context)
          const denial = decision === undefined ? null : deniedBy([decision])
          return { newIn: old, target: decision?.image ?? old, denial }
        }),
      )
      const denial = decided.find((each) => each.denial !== null)?.denial
      if (typeof denial === 'string') return { ...overlay, problem: denial.replace(/^berth: /, '') }
      const made = entriesFor(plan, root, decided)
      return typeof made === 'string'
        ? { ...overlay, problem: made }
        : { ...overlay, entries: made, notes: all.flatMap(notesOf) }
    }),
  )
}

function builtImages(build: () => readonly BuiltImage[]): readonly BuiltImage[] | null {
  try {
    return build()
  } catch (error) {
    if (error instanceof TooManyStepsError) return null
    throw error
  }
}

/** Returns a kustomization and everything that it reads. */
function nodesBelow(root: KustomizeNode): KustomizeNode[] {
  const reached = new Set([root])
  for (const node of reached)
    for (const next of [...node.bases, ...node.components]) reached.add(next)
  return [...reached]
}

/** Returns one entry for each name, or why there are none. */
function entriesFor(
  { isOpen }: KustomizePlan,
  root: KustomizeNode,
  uses: readonly EntryUse[],
): readonly ImageEntry[] | string {
  const byName = Map.groupBy(uses, ({ newIn }) => splitImage(newIn).name)
  const plans = [...byName].map(([name, ofName], index) => ({
    entry: { path: ['images', index], name, newName: '', newTag: '', tagSuffix: '', digest: '' },
    uses: ofName,
    ownTarget: null,
    keepsName: isOpen(root),
  }))
  const moved = moveEntries(plans)
  if ('problem' in moved) return moved.problem
  const entries = moved.entries.filter(
    ({ newName, newTag, digest }) => newName !== '' || newTag !== '' || digest !== '',
  )
  const wrong = uses.find(
    ({ newIn, target }) =>
      entries.reduce((image, entry) => applyEntry(entry, image), newIn) !== target,
  )
  return wrong === undefined
    ? entries
    : `one entry changes the result of another for ${wrong.newIn}`
}

/** The first line of the files that Berth writes and replaces. */
export const overlayHeader = '# Written by berth rewrite --kustomize-out. Do not edit.\n'

/** Returns the text of an overlay. `resource` is the path of the kustomization from it. */
export function overlayText({ entries }: KustomizeOverlay, resource: string): string {
  return (
    overlayHeader +
    stringify({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [resource],
      ...(entries.length === 0 ? {} : { images: entries.map(membersOf) }),
    })
  )
}
