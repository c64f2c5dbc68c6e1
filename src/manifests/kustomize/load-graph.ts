/** Loads the kustomizations among the given files, and what they read. Follows local paths; never runs kustomize. */
import { realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve as resolvePath } from 'node:path'
import { readRealFile } from '../../files/read-limited.ts'
import { manifestLimits } from '../../yaml/limits.ts'
import type { ManifestFile } from '../manifest-files.ts'
import {
  isKustomizationName,
  type Kustomization,
  kustomizationFileNames,
  type PatchSource,
  readImageFields,
  readKustomization,
  replacedPart,
  replacementFile,
  replacementsIn,
} from './kustomization.ts'

/** A file that a kustomization reads. */
export interface ResourceFile {
  /** As the user wrote it, or the path without links. */
  readonly name: string
  readonly realPath: string
  readonly text: string
  /** Whether the user gave the file, so that it can be changed. */
  readonly isGiven: boolean
}

/** A patch with its text. */
export interface LoadedPatch {
  /** The file; null for a patch whose text is in the kustomization. */
  readonly file: ResourceFile | null
  readonly text: string
  readonly target: string | null
}

/** A kustomization and what it reads. */
export interface KustomizeNode {
  readonly file: ResourceFile
  readonly kustomization: Kustomization
  readonly files: ResourceFile[]
  readonly bases: KustomizeNode[]
  readonly components: KustomizeNode[]
  readonly patches: LoadedPatch[]
  /** The kustomizations that read this one. */
  readonly parents: KustomizeNode[]
  /** The parts that Berth cannot read, such as remote bases and charts. */
  readonly unread: string[]
  /** Why Berth cannot tell which images it deploys. */
  readonly problems: string[]
}

export interface KustomizeGraph {
  readonly nodes: readonly KustomizeNode[]
  /** The paths of image fields from all files of `configurations`. */
  readonly imageFields: readonly string[]
  /** Kustomizations among the given files that do not parse. */
  readonly invalid: readonly { readonly file: ManifestFile; readonly message: string }[]
}

/** The number of files that were not given, and their characters in total. The limits of given files are the same. */
const maxFiles = 20_000
const maxLength = 256 * 1024 ** 2

/** Levels of nested kustomizations. Real ones have fewer than ten. */
const maxDepth = 64

interface Loader {
  readonly given: ReadonlyMap<string, ManifestFile>
  readonly nodes: Map<string, KustomizeNode | null>
  /** The kustomizations that are being loaded, from the outermost one. */
  readonly path: KustomizeNode[]
  readonly files: Map<string, ResourceFile | null>
  readonly imageFields: Set<string>
  readonly invalid: { file: ManifestFile; message: string }[]
  rest: { files: number; length: number }
}

export function loadKustomizeGraph(files: readonly ManifestFile[]): KustomizeGraph {
  const given = new Map(
    files.flatMap((file) => (file.state === null ? [] : [[file.state.realPath, file] as const])),
  )
  const loader: Loader = {
    given,
    nodes: new Map(),
    path: [],
    files: new Map(),
    imageFields: new Set(),
    invalid: [],
    rest: { files: maxFiles, length: maxLength },
  }
  for (const realPath of given.keys()) if (isKustomizationName(realPath)) loadNode(loader, realPath)
  const nodes = [...loader.nodes.values()].filter((node) => node !== null)
  return { nodes, imageFields: [...loader.imageFields], invalid: loader.invalid }
}

/** Returns the kustomization of a file; null if it cannot be read. */
function loadNode(loader: Loader, realPath: string): KustomizeNode | null {
  const known = loader.nodes.get(realPath)
  if (known !== undefined) return known
  const file = loadFile(loader, realPath)
  if (file === null) return null
  const read = readKustomization(file.text)
  if (!read.ok) {
    const own = loader.given.get(realPath)
    if (own !== undefined) loader.invalid.push({ file: own, message: read.message })
    loader.nodes.set(realPath, null)
    return null
  }
  const { kustomization } = read
  const { problem, generators } = kustomization
  const node: KustomizeNode = {
    file,
    kustomization,
    files: [],
    bases: [],
    components: [],
    patches: [],
    parents: [],
    unread: [...generators],
    problems: problem === null ? [] : [problem],
  }
  loader.nodes.set(realPath, node)
  if (loader.path.length >= maxDepth) {
    node.problems.push(`it is nested in more than ${maxDepth} kustomizations`)
    return node
  }
  loader.path.push(node)
  loadParts(loader, node)
  loader.path.pop()
  return node
}

function loadParts(loader: Loader, node: KustomizeNode): void {
  const directory = dirname(node.file.realPath)
  const { resources, components, patches, configurations } = node.kustomization
  for (const item of resources) loadResource(loader, node, resolvePath(directory, item), item)
  for (const item of components) {
    const component = loadDirectory(loader, node, resolvePath(directory, item))
    if (component === null) node.unread.push(item)
    else addChild(loader, node, component, node.components)
  }
  for (const patch of patches) loadPatch(loader, node, patch)
  loadReplacements(loader, node)
  for (const item of configurations) {
    const file = loadPath(loader, resolvePath(directory, item))
    if (file === null) node.unread.push(item)
    else for (const field of readImageFields(file.text)) loader.imageFields.add(field)
  }
}

function loadResource(loader: Loader, node: KustomizeNode, path: string, item: string): void {
  const base = loadDirectory(loader, node, path)
  if (base !== null) {
    addChild(loader, node, base, node.bases)
    return
  }
  const file = loadPath(loader, path)
  if (file === null) node.unread.push(item)
  else node.files.push(file)
}

function loadPatch(loader: Loader, node: KustomizeNode, patch: PatchSource): void {
  if ('text' in patch) {
    node.patches.push({ file: null, ...patch })
    return
  }
  const file = loadPath(loader, resolvePath(dirname(node.file.realPath), patch.file))
  if (file === null) node.unread.push(patch.file)
  else node.patches.push({ file, text: file.text, target: patch.target })
}

function loadReplacements(loader: Loader, node: KustomizeNode): void {
  const replacements = node.kustomization.replacements.flatMap((replacement) => {
    const path = replacementFile(replacement)
    if (path === null) return [replacement]
    const file = loadPath(loader, resolvePath(dirname(node.file.realPath), path))
    if (file !== null) return replacementsIn(file.text)
    node.unread.push(path)
    return []
  })
  const parts = new Set(replacements.map(replacedPart))
  if (parts.has('image')) node.unread.push('replacements of images')
  if (parts.has('part'))
    node.problems.push(
      'replacements read or write a part of an image, and its parts move when the image is rewritten',
    )
}

function addChild(
  loader: Loader,
  parent: KustomizeNode,
  child: KustomizeNode,
  list: KustomizeNode[],
): void {
  if (loader.path.includes(child)) {
    parent.problems.push(`it reads ${child.file.name}, which reads it again`)
    return
  }
  if (list.includes(child)) return
  list.push(child)
  child.parents.push(parent)
}

/** Returns the kustomization of a directory; null if there is none. */
function loadDirectory(loader: Loader, parent: KustomizeNode, path: string): KustomizeNode | null {
  for (const name of statOf(path)?.isDirectory() === true ? kustomizationFileNames : []) {
    const file = join(path, name)
    if (statOf(file)?.isFile() !== true) continue
    const realPath = realpathSync(file)
    const inProgress = loader.path.find((node) => node.file.realPath === realPath)
    const node = inProgress ?? loadNode(loader, realPath)
    if (node === null) parent.problems.push(`it reads ${file}, which does not parse`)
    return node
  }
  return null
}

/** Returns a file; null if there is no such file, or it is not text. */
function loadPath(loader: Loader, path: string): ResourceFile | null {
  return statOf(path)?.isFile() === true ? loadFile(loader, realpathSync(path)) : null
}

function loadFile(loader: Loader, realPath: string): ResourceFile | null {
  const known = loader.files.get(realPath)
  if (known !== undefined) return known
  const given = loader.given.get(realPath)
  const file: ResourceFile | null =
    given === undefined
      ? readOther(loader, realPath)
      : { name: given.name, realPath, text: given.text, isGiven: true }
  loader.files.set(realPath, file)
  return file
}

function readOther({ rest }: Loader, realPath: string): ResourceFile | null {
  if (rest.files <= 0) return null
  rest.files -= 1
  try {
    const { bytes } = readRealFile(realPath, Math.min(manifestLimits.length, rest.length))
    rest.length -= bytes.length
    return { name: realPath, realPath, text: bytes.toString('utf8'), isGiven: false }
  } catch {
    return null
  }
}

function statOf(path: string): ReturnType<typeof statSync> | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}
