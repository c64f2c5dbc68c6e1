/** Finds the image fields in the files and patches of kustomizations. */
import { unknownPod } from '../../decision/fallback/pod-context.ts'
import { isObject, member } from '../../json/json.ts'
import { readManifests } from '../manifests.ts'
import { otherImageKinds } from '../pod-locations.ts'
import { inlineObjects, isJsonPatch } from './kustomization.ts'
import type { LoadedPatch, ResourceFile } from './load-graph.ts'
import { type ImageField, type ImageFieldOptions, imageFieldsIn } from './object-images.ts'

/** An image field in a file or patch. */
export interface KustomizeSite extends ImageField {
  /** Unique, and the same after the images of the file are rewritten. */
  readonly key: string
  /** The path of the file that has it, for messages. */
  readonly fileName: string
  /** Null if the field cannot be changed in place. */
  readonly file: ResourceFile | null
  /** Whether it replaces the fields with the same patch keys. */
  readonly isPatch: boolean
}

/** Returns the image fields in the text of a file; null if it has no manifests. */
export function sitesOfFile(
  file: ResourceFile,
  text: string,
  options: ImageFieldOptions,
): KustomizeSite[] | null {
  if (!text.includes('image')) return []
  const read = readManifests(text, otherImageKinds(options.workloads))
  if (!read.ok) return null
  return read.manifests.objects.flatMap(({ value }, index) =>
    imageFieldsIn(value, options).map((field) => ({
      ...field,
      key: `${file.realPath}#${index}/${field.path.join('/')}`,
      fileName: file.name,
      file: file.isGiven && field.isKnown ? file : null,
      isPatch: false,
    })),
  )
}

/** Returns the image fields that a patch sets. */
export function sitesOfPatch(
  { file, text, target }: LoadedPatch,
  { owner, sitesOf }: PatchSiteOptions,
): KustomizeSite[] {
  const documents = inlineObjects(text)
  if (file !== null && !documents.some(isJsonPatch))
    return (sitesOf(file) ?? []).map((site) => withTarget({ ...site, isPatch: true }, target))
  return documents.flatMap((document, index) =>
    imagesOfDocument(document, target, sitesOf.options).map((field, position) => ({
      ...withTarget(field, target),
      key: `${owner.realPath}#patch ${text.length}/${index}/${position} ${field.image}`,
      fileName: (file ?? owner).name,
      file: null,
      isPatch: true,
    })),
  )
}

export interface PatchSiteOptions {
  /** The file of the kustomization. */
  readonly owner: ResourceFile
  readonly sitesOf: SitesOf
}

export interface SitesOf {
  (file: ResourceFile): readonly KustomizeSite[] | null
  readonly options: ImageFieldOptions
}

function withTarget<Field extends ImageField>(field: Field, target: string | null): Field {
  if (target === null) return field
  const patchKeys = field.patchKeys.map((key) => key.replace(/^\S*/, target))
  return { ...field, patchKeys }
}

function imagesOfDocument(
  document: unknown,
  target: string | null,
  options: ImageFieldOptions,
): ImageField[] {
  if (!isJsonPatch(document)) return imageFieldsIn(document, options)
  return document.flatMap((operation) => {
    const path = member(operation, 'path')
    const [image] = typeof path === 'string' ? imagesOfOperation(operation, path) : []
    if (image === undefined || typeof path !== 'string') return []
    return imagesOfOperation(operation, path).map((each) => ({
      image: each,
      path: [],
      entriesApply: 'sometimes' as const,
      isPulled: true,
      isKnown: false,
      context: unknownPod,
      patchKeys: target === null ? [] : [`${target} ${path}`],
      object: 'a patch',
    }))
  })
}

/** Returns the images that an operation of a JSON patch writes: its value, or those in its value. */
function imagesOfOperation(operation: unknown, path: string): string[] {
  const value = member(operation, 'value')
  return imagesIn(value, path.split('/').at(-1) ?? '')
}

function imagesIn(value: unknown, key: string): string[] {
  if (typeof value === 'string')
    return (key === 'image' || key === 'reference') && value !== '' ? [value] : []
  if (Array.isArray(value)) return value.flatMap((item) => imagesIn(item, ''))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([name, each]) => imagesIn(each, name))
}

/** Returns whether a patch tests an image, and so fails when the image is rewritten. */
export function testsImage({ text }: LoadedPatch): boolean {
  return inlineObjects(text).some(
    (document) =>
      isJsonPatch(document) &&
      document.some(
        (operation) =>
          member(operation, 'op') === 'test' &&
          imagesOfOperation(operation, String(member(operation, 'path'))).length > 0,
      ),
  )
}
