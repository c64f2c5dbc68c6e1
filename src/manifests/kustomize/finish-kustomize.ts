/** Moves the entries of kustomizations after the files that they read are rewritten, and verifies what they then build. */
import type { SiteDecision } from '../../decision/pod/decide-sites.ts'
import type { ManifestFile } from '../manifest-files.ts'
import { type BuiltImage, createBuild, type EntryStep, TooManyStepsError } from './build-images.ts'
import { connectedGroups } from './connected.ts'
import {
  describeEdit,
  type EditedKustomization,
  type EntryDecision,
  patchKustomization,
  refuseKustomization,
} from './edit-kustomization.ts'
import { applyEntry, imageOfEntry } from './image-entry.ts'
import { filesOf, type KustomizePlan } from './kustomize-plan.ts'
import { type KustomizeSite, sitesOfFile } from './kustomize-sites.ts'
import type { KustomizeNode } from './load-graph.ts'
import { type EntryPlan, moveEntries, type MovedEntries } from './move-entries.ts'

export interface KustomizeDecisions {
  readonly plan: KustomizePlan
  /** Returns the decision for what the last entry makes of an image. */
  readonly decisionOf: (step: EntryStep) => SiteDecision | undefined
  /** Returns the decision for what an entry makes of images that Berth cannot read. */
  readonly decisionOfEntry: (node: KustomizeNode, image: string) => SiteDecision | undefined
}

export interface KustomizeResult {
  /** The given kustomizations, by their path without links. */
  readonly edited: ReadonlyMap<string, EditedKustomization>
  /** The paths without links of files that must stay as they are. */
  readonly unchanged: ReadonlySet<string>
}

type NewImageOf = (site: KustomizeSite) => string

export function finishKustomize(
  decisions: KustomizeDecisions,
  files: readonly ManifestFile[],
  textOf: (file: ManifestFile) => string,
): KustomizeResult {
  const { plan } = decisions
  const moved = new Map<KustomizeNode, MovedNode>()
  let uncovered: ReadonlyMap<KustomizeNode, readonly BuiltImage[]> = new Map()
  try {
    const newImageOf = newImages(plan, files, textOf)
    const { built, steps } = expectedBuild(decisions, newImageOf)
    for (const node of plan.graph.nodes.filter(({ file }) => file.isGiven)) {
      const result = moveNode(decisions, node, steps)
      if ('problem' in result) node.problems.push(result.problem)
      else moved.set(node, result)
    }
    verify(plan, { newImageOf, moved, built })
    uncovered = built
  } catch (error) {
    // The plan has this problem already.
    if (!(error instanceof TooManyStepsError)) throw error
  }
  return resultOf(plan, moved, uncovered)
}

/** Returns the images of the rewritten files. */
export function newImages(
  { sitesOf, readers }: KustomizePlan,
  files: readonly ManifestFile[],
  textOf: (file: ManifestFile) => string,
): NewImageOf {
  const changed = new Map<string, string>()
  for (const file of files) {
    const text = textOf(file)
    const realPath = file.state?.realPath
    if (text === file.text || realPath === undefined || !readers.has(realPath)) continue
    const read = { name: file.name, realPath, text, isGiven: true }
    for (const { key, image } of sitesOfFile(read, text, sitesOf.options) ?? [])
      changed.set(key, image)
  }
  return ({ key, image }) => changed.get(key) ?? image
}

type Built = ReadonlyMap<KustomizeNode, readonly BuiltImage[]>
type Steps = ReadonlyMap<KustomizeNode, readonly EntryStep[]>

/** Builds with entries that turn each image into the one that the table makes of what it was before. */
function expectedBuild(
  decisions: KustomizeDecisions,
  newImageOf: NewImageOf,
): { readonly built: Built; readonly steps: Steps } {
  const { roots, sitesOfNode } = decisions.plan
  const steps = new Map<KustomizeNode, EntryStep[]>()
  const build = createBuild({
    sitesOf: sitesOfNode,
    newImageOf,
    patchesReplace: false,
    newOut: (step) => {
      const { node, index, image } = step
      const known = steps.get(node)
      if (known === undefined) steps.set(node, [step])
      else known.push(step)
      const entry = node.kustomization.entries[index]
      if (!node.file.isGiven && entry !== undefined) return applyEntry(entry, image.new)
      return targetOf(decisions, step)
    },
  })
  return { built: new Map(roots.map((root) => [root, build(root)])), steps }
}

/** An entry whose result another entry changes keeps its result. */
function targetOf({ decisionOf }: KustomizeDecisions, step: EntryStep): string {
  return step.isLast ? (decisionOf(step)?.image ?? step.oldOut) : step.oldOut
}

interface MovedNode extends MovedEntries {
  readonly text: string
  readonly decisions: readonly EntryDecision[]
}

function moveNode(
  decisions: KustomizeDecisions,
  node: KustomizeNode,
  steps: Steps,
): MovedNode | { readonly problem: string } {
  const isOpen = decisions.plan.isOpen(node)
  const byEntry = Map.groupBy(steps.get(node) ?? [], ({ index }) => index)
  const made: EntryDecision[] = []
  const plans = node.kustomization.entries.map((entry, index): EntryPlan => {
    const uses = byEntry.get(index) ?? []
    const image = uses.length === 0 || isOpen ? imageOfEntry(entry) : null
    const own = image === null ? undefined : decisions.decisionOfEntry(node, image)
    const ofUses = uses.filter(({ isLast }) => isLast).map(decisions.decisionOf)
    for (const decision of [...ofUses, own])
      if (decision !== undefined) made.push({ entry, index, decision })
    return {
      entry,
      uses: uses.map((step) => ({ newIn: step.image.new, target: targetOf(decisions, step) })),
      ownTarget: own?.image ?? null,
      keepsName: isOpen,
    }
  })
  const moved = moveEntries(plans)
  if ('problem' in moved) return moved
  const text = patchKustomization(node, moved.patch)
  return text === null
    ? { problem: 'its entries of images share an anchor with something that must not change' }
    : { ...moved, text, decisions: made }
}

/** Adds a problem to each root that would build something else than expected. */
function verify(
  { roots, sitesOfNode }: KustomizePlan,
  {
    newImageOf,
    moved,
    built,
  }: {
    readonly newImageOf: NewImageOf
    readonly moved: ReadonlyMap<KustomizeNode, MovedNode>
    readonly built: Built
  },
): void {
  const build = createBuild({
    sitesOf: sitesOfNode,
    newImageOf,
    patchesReplace: false,
    newOut: ({ oldOut }) => oldOut,
    newEntriesOf: (node) => moved.get(node)?.entries ?? node.kustomization.entries,
  })
  for (const root of roots) {
    const expected = new Set((built.get(root) ?? []).map(imageKey))
    const wrong = build(root).find((image) => !expected.has(imageKey(image)))
    if (wrong !== undefined && root.problems.length === 0)
      root.problems.push(`it would deploy ${wrong.new} in place of ${wrong.old}`)
  }
}

function imageKey({ site, old, new: newImage }: BuiltImage): string {
  return [site.key, old, newImage].join(' ')
}

function resultOf(
  { graph }: KustomizePlan,
  moved: ReadonlyMap<KustomizeNode, MovedNode>,
  built: Built,
): KustomizeResult {
  const edited = new Map<string, EditedKustomization>()
  const unchanged = new Set<string>()
  for (const group of connectedGroups(graph.nodes)) {
    const failed = group.flatMap(({ file, problems }) =>
      problems.map((problem) => ({ name: file.name, problem })),
    )
    const [first] = failed
    if (first !== undefined)
      for (const { realPath } of group.flatMap((node) => [node.file, ...filesOf(node)]))
        unchanged.add(realPath)
    for (const node of group.filter(({ file }) => file.isGiven)) {
      const result = moved.get(node)
      edited.set(
        node.file.realPath,
        first !== undefined || result === undefined
          ? refuseKustomization(node, first)
          : describeEdit(node, {
              ...result,
              unwritten: unwrittenImages(built.get(node) ?? []),
            }),
      )
    }
  }
  return { edited, unchanged }
}

/** Returns the images that neither an entry names nor a file has that can be changed. */
function unwrittenImages(images: readonly BuiltImage[]): string[] {
  const fixed = images.filter(
    ({ site, isCovered }) => !isCovered && site.file === null && (site.isPatch || site.isKnown),
  )
  return [...new Set(fixed.map(({ old }) => old))]
}
