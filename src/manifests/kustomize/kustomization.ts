/** Reads the parts of a kustomization file that change images. */
import { basename } from 'node:path'
import { isObject, member } from '../../json/json.ts'
import { manifestLimits } from '../../yaml/limits.ts'
import { parseYaml } from '../../yaml/parse-yaml.ts'
import { type DocumentPath, type Manifests, readManifests, valueOf } from '../manifests.ts'
import { type ImageEntry, isPlainName } from './image-entry.ts'

/** kustomize knows the file by its name, and does not need `kind` (api/konfig, RecognizedKustomizationFileNames). */
const fileNames = new Set(['kustomization.yaml', 'kustomization.yml', 'Kustomization'])

export const kustomizationFileNames: readonly string[] = [...fileNames]

export function isKustomizationName(path: string): boolean {
  return fileNames.has(basename(path))
}

/** An entry, and its path in the file. */
export interface PlacedEntry extends ImageEntry {
  readonly path: DocumentPath
}

/** A patch whose text is in the kustomization, or a file. */
export type PatchSource = ({ readonly file: string } | { readonly text: string }) & {
  /** The kind and the name of the only object that it changes, as `Deployment/web`; null if others may be changed. */
  readonly target: string | null
}

export interface Kustomization {
  readonly manifests: Manifests
  readonly isComponent: boolean
  /** The namespace that it sets; null if it sets none. */
  readonly namespace: string | null
  readonly entries: readonly PlacedEntry[]
  /** Files, directories and URLs. */
  readonly resources: readonly string[]
  readonly components: readonly string[]
  readonly patches: readonly PatchSource[]
  /** Files with the fields of custom resources to which entries apply. */
  readonly configurations: readonly string[]
  /** What makes resources that no file has, such as charts. */
  readonly generators: readonly string[]
  /** Replacements, or objects with the `path` of a file of replacements. */
  readonly replacements: readonly unknown[]
  /** Why Berth cannot tell which images it deploys; null if it can. */
  readonly problem: string | null
}

export type ReadKustomization =
  | { readonly ok: true; readonly kustomization: Kustomization }
  | { readonly ok: false; readonly message: string }

/** Parses a kustomization file. */
export function readKustomization(text: string): ReadKustomization {
  const read = readManifests(text)
  if (!read.ok) return { ok: false, message: read.message }
  const { manifests } = read
  const [document] = manifests.documents
  const value = document === undefined ? {} : valueOf(document)
  if (manifests.documents.length > 1)
    return { ok: false, message: 'a kustomization has one document' }
  const entries = [...readEntries(value, 'images'), ...readEntries(value, 'imageTags')]
  const texts = (key: string) => textsOf(member(value, key))
  const kustomization: Kustomization = {
    manifests,
    isComponent: member(value, 'kind') === 'Component',
    namespace: textOf(member(value, 'namespace')),
    entries,
    resources: [...texts('resources'), ...texts('bases')],
    components: texts('components'),
    patches: readPatches(value),
    configurations: texts('configurations'),
    generators: generatorKeys.filter((key) => member(value, key) !== undefined),
    replacements: listOf(member(value, 'replacements')),
    problem: problemOf(value, entries),
  }
  return { ok: true, kustomization }
}

/** ConfigMaps and Secrets have no images that entries apply to, so that their generators do not count. */
const generatorKeys = ['helmCharts', 'helmChartInflationGenerator', 'generators'] as const

function readEntries(value: unknown, key: string): PlacedEntry[] {
  return listOf(member(value, key)).map((entry, index) => ({
    path: [key, index],
    name: scalarOf(member(entry, 'name')),
    newName: scalarOf(member(entry, 'newName')),
    newTag: scalarOf(member(entry, 'newTag')),
    tagSuffix: scalarOf(member(entry, 'tagSuffix')),
    digest: scalarOf(member(entry, 'digest')),
  }))
}

function readPatches(value: unknown): PatchSource[] {
  const patches = [...listOf(member(value, 'patches')), ...listOf(member(value, 'patchesJson6902'))]
  const listed = patches.flatMap((patch): PatchSource[] => {
    const [text, file] = [textOf(member(patch, 'patch')), textOf(member(patch, 'path'))]
    const target = targetOf(member(patch, 'target'))
    return [
      ...(text === null ? [] : [{ text, target }]),
      ...(file === null ? [] : [{ file, target }]),
    ]
  })
  // An item of this list is a file, or the patch itself.
  const strategic = textsOf(member(value, 'patchesStrategicMerge')).map((item): PatchSource =>
    item.includes('\n') ? { text: item, target: null } : { file: item, target: null },
  )
  return [...listed, ...strategic]
}

function targetOf(target: unknown): string | null {
  const [kind, name] = [textOf(member(target, 'kind')), textOf(member(target, 'name'))]
  return kind === null || name === null ? null : `${kind}/${name}`
}

/** Transformers that do not change images. */
const harmlessTransformers =
  /^(?:Annotations|Hash|Label|Namespace|Prefix|PrefixSuffix|ReplicaCount|SortOrder|Suffix)Transformer$/

function problemOf(value: unknown, entries: readonly ImageEntry[]): string | null {
  const pattern = entries.find(({ name }) => !isPlainName(name))
  if (pattern !== undefined)
    return `the name of an entry of images is empty or a regular expression: ${JSON.stringify(pattern.name)}`
  const suffix = entries.find(hasRepeatedSuffix)
  if (suffix !== undefined)
    return `kustomize appends the tagSuffix of the entry ${suffix.name} once or twice, depending on the field, because the entry has no other newName`
  if (!textsOf(member(value, 'transformers')).every(isHarmlessTransformer))
    return 'transformers can change images in ways that Berth does not know'
  return null
}

/** kustomize 5.7.1 applies entries twice to Pods and pod templates. Only a suffix changes the result again. */
function hasRepeatedSuffix({ name, newName, newTag, tagSuffix, digest }: ImageEntry): boolean {
  const isKept = newName === '' || newName === name
  return tagSuffix !== '' && newTag === '' && digest === '' && isKept
}

/** Returns the path of the file that has the replacement; null if it is in the kustomization. */
export function replacementFile(replacement: unknown): string | null {
  return textOf(member(replacement, 'path'))
}

/** Returns the replacements in a file. */
export function replacementsIn(text: string): unknown[] {
  return inlineObjects(text).flatMap((value) => value)
}

/** Returns whether a replacement writes whole images, reads or writes parts of them, or none. */
export function replacedPart(replacement: unknown): 'image' | 'part' | 'none' {
  const source = member(replacement, 'source')
  const isImage = imagePath.test(String(member(source, 'fieldPath')))
  if (isImage && textOf(member(member(source, 'options'), 'delimiter')) !== null) return 'part'
  const targets = imageTargets(replacement)
  if (targets.length === 0) return 'none'
  const delimiter = (target: unknown) => textOf(member(member(target, 'options'), 'delimiter'))
  return targets.some((target) => delimiter(target) !== null) ? 'part' : 'image'
}

function imageTargets(replacement: unknown): unknown[] {
  return listOf(member(replacement, 'targets')).filter((target) =>
    textsOf(member(target, 'fieldPaths')).some((path) => imagePath.test(path)),
  )
}

const imagePath = /image|reference/i

/** A transformer in a file may do anything. */
function isHarmlessTransformer(item: string): boolean {
  if (!item.includes('\n')) return false
  return inlineObjects(item).every((object) =>
    harmlessTransformers.test(textOf(member(object, 'kind')) ?? ''),
  )
}

/** Returns the documents of a text inside of a kustomization; none if it is not valid YAML. */
export function inlineObjects(text: string): unknown[] {
  const { documents, errors } = parseYaml(text, manifestLimits, { merge: true })
  return errors.length > 0 ? [] : documents.map(valueOf).filter((value) => value !== null)
}

/** Returns the paths of image fields that a file of `configurations` adds, such as `spec/image` or `spec/items[]/image`. */
export function readImageFields(text: string): string[] {
  return inlineObjects(text).flatMap((value) =>
    listOf(member(value, 'images')).flatMap((field) => textOf(member(field, 'path')) ?? []),
  )
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

function textsOf(value: unknown): string[] {
  return listOf(value).filter((item) => typeof item === 'string')
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function scalarOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

/** Returns whether a document is a JSON patch (RFC 6902) instead of an object. */
export function isJsonPatch(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.every((item) => isObject(item) && 'op' in item)
}
