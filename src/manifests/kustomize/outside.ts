/**
 * Finds kustomizations outside of the given files whose entries of `images` would no longer apply to the rewritten images,
 * so that they would silently deploy another version.
 */
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readRealFile } from '../../files/read-limited.ts'
import { manifestLimits } from '../../yaml/limits.ts'
import type { ManifestFile } from '../manifest-files.ts'
import type { WorkloadKind } from '../pod-locations.ts'
import { createBuild, TooManyStepsError } from './build-images.ts'
import { connectedGroups } from './connected.ts'
import { newImages } from './finish-kustomize.ts'
import { applyEntry, type ImageEntry, matchesName } from './image-entry.ts'
import { isKustomizationName, kustomizationFileNames, readKustomization } from './kustomization.ts'
import { filesOf, type KustomizePlan, planKustomize } from './kustomize-plan.ts'
import type { KustomizeNode } from './load-graph.ts'

/** Directory entries that are searched, and levels above and below. Overlays are usually two levels away from their base. */
const maxSearched = 5_000
const maxLevels = 3

/** Given files that must stay as they are, by their path without links, and why. */
export type RefusedPaths = ReadonlyMap<string, string>

/** Compares the files with their new texts. */
export function refuseForOutside(
  files: readonly ManifestFile[],
  textOf: (file: ManifestFile) => string,
  workloads: readonly WorkloadKind[],
): RefusedPaths {
  const changed = files.filter((file) => textOf(file) !== file.text)
  const outside = findOutside(files, changed)
  if (outside.length === 0) return new Map()
  const plan = planKustomize([...files, ...outside], workloads)
  const paths = new Set(outside.flatMap(({ state }) => state?.realPath ?? []))
  const broken = brokenEntries(plan, { files, textOf, isOutside: (path) => paths.has(path) })
  const refused = new Map<string, string>()
  for (const group of broken.size === 0 ? [] : connectedGroups(plan.graph.nodes)) {
    const node = group.find((each) => broken.has(each))
    if (node === undefined) continue
    const message = `${node.file.name} is not given, and its entry ${broken.get(node)} of images would no longer apply: give both to rewrite, or try --kustomize-out`
    for (const { realPath } of group.flatMap((each) => [each.file, ...filesOf(each)]))
      if (!paths.has(realPath)) refused.set(realPath, message)
  }
  return refused
}

/** Returns the kustomizations with the name of an entry that applied to an image before, and does not after. */
function brokenEntries(
  plan: KustomizePlan,
  {
    files,
    textOf,
    isOutside,
  }: {
    readonly files: readonly ManifestFile[]
    readonly textOf: (file: ManifestFile) => string
    readonly isOutside: (realPath: string) => boolean
  },
): ReadonlyMap<KustomizeNode, string> {
  const broken = new Map<KustomizeNode, string>()
  const newEntries = changedEntries(files, textOf)
  const build = createBuild({
    sitesOf: plan.sitesOfNode,
    newImageOf: newImages(plan, files, textOf),
    patchesReplace: false,
    newOut: ({ node, index, image }) => {
      const entry = node.kustomization.entries[index]
      if (entry === undefined) return image.new
      const isBroken = image.new !== image.old && !matchesName(entry.name, image.new)
      if (isBroken && isOutside(node.file.realPath)) broken.set(node, entry.name)
      return applyEntry(entry, image.new)
    },
    newEntriesOf: ({ file, kustomization }) =>
      newEntries.get(file.realPath) ?? kustomization.entries,
  })
  try {
    for (const node of plan.graph.nodes) if (isOutside(node.file.realPath)) build(node)
  } catch (error) {
    if (!(error instanceof TooManyStepsError)) throw error
  }
  return broken
}

function changedEntries(
  files: readonly ManifestFile[],
  textOf: (file: ManifestFile) => string,
): ReadonlyMap<string, readonly ImageEntry[]> {
  const entries = new Map<string, readonly ImageEntry[]>()
  for (const file of files) {
    const text = textOf(file)
    if (text === file.text || file.state === null || !isKustomizationName(file.name)) continue
    const read = readKustomization(text)
    if (read.ok) entries.set(file.state.realPath, read.kustomization.entries)
  }
  return entries
}

/** Returns the kustomizations in the directories of the changed files, and near them in the same Git repository. */
function findOutside(
  files: readonly ManifestFile[],
  changed: readonly ManifestFile[],
): ManifestFile[] {
  const given = new Set(files.flatMap(({ state }) => state?.realPath ?? []))
  const directories = new Set(changed.flatMap(({ state }) => state?.realPath ?? []).map(dirname))
  const searched = new Set<string>()
  const found = new Set<string>()
  const visit = (directory: string, levels: number): void => {
    if (searched.size >= maxSearched || searched.has(`${directory} ${levels}`)) return
    searched.add(`${directory} ${levels}`)
    for (const name of kustomizationFileNames) {
      const path = join(directory, name)
      if (existsSync(path)) found.add(realpathSync(path))
    }
    for (const name of levels === 0 ? [] : subdirectories(directory))
      visit(join(directory, name), levels - 1)
  }
  for (const directory of directories) visit(directory, 0)
  for (const directory of tops(directories)) visit(directory, maxLevels)
  return [...found].filter((path) => !given.has(path)).flatMap(readOutside)
}

/** Returns for each directory the one at most two levels above it in its Git repository; none outside of one. */
function tops(directories: ReadonlySet<string>): Set<string> {
  const found = new Set<string>()
  for (const directory of directories) {
    const above = [directory, dirname(directory), dirname(dirname(directory))]
    const root = above.findIndex((each) => existsSync(join(each, '.git')))
    if (root >= 0) found.add(above[root] ?? directory)
    else if (isInRepository(directory)) found.add(above.at(-1) ?? directory)
  }
  return found
}

function isInRepository(directory: string): boolean {
  if (existsSync(join(directory, '.git'))) return true
  const parent = dirname(directory)
  return parent !== directory && isInRepository(parent)
}

function subdirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !/^\.|^node_modules$/.test(entry.name))
      .map(({ name }) => name)
  } catch {
    return []
  }
}

function readOutside(path: string): ManifestFile[] {
  try {
    const { bytes, state } = readRealFile(path, manifestLimits.length)
    return [{ name: path, text: bytes.toString('utf8'), isFromDirectory: true, state }]
  } catch {
    // A kustomization that cannot be read deploys nothing.
    return []
  }
}
