/** Finds the image fields of an object: those to which `images:` of a kustomization applies, and those that Berth knows. */
import { type PodContext, unknownPod } from '../../decision/fallback/pod-context.ts'
import { findSites } from '../../decision/pod/sites.ts'
import { isObject, member } from '../../json/json.ts'
import type { DocumentPath } from '../manifests.ts'
import { objectTitle, podLocationsIn, type WorkloadKind } from '../pod-locations.ts'

/**
 * Whether entries of `images:` apply to a field. `sometimes`: only in newer versions of kustomize, or only with a file of
 * `configurations`.
 */
export type EntriesApply = 'always' | 'sometimes' | 'never'

export interface ImageField {
  readonly image: string
  /** From the object. */
  readonly path: DocumentPath
  readonly entriesApply: EntriesApply
  /** Whether the kubelet can pull the image: false with the pull policy Never. */
  readonly isPulled: boolean
  /** Whether Berth knows the field, and rewrites it. */
  readonly isKnown: boolean
  /** What rows can see of its pod. */
  readonly context: PodContext
  /** Identifies the field for patches: the object's kind and name, and the container or the path. */
  readonly patchKeys: readonly string[]
  /** For example `apps/Deployment web`. */
  readonly object: string
}

/** Returns the image fields of an object. `imageFields` are paths of other kinds, such as `spec/image`. */
export function imageFieldsIn(
  object: unknown,
  { workloads, imageFields }: ImageFieldOptions,
): ImageField[] {
  const kind = textOf(member(object, 'kind'))
  if (kind === 'CustomResourceDefinition') return []
  const metadata = member(object, 'metadata')
  const namespace = textOf(member(metadata, 'namespace'))
  const title = objectTitle(object)
  const owner = `${kind}/${textOf(member(metadata, 'name'))}`
  const known = knownFields(object, workloads)
  const fields = [...containerImages(object), ...fieldImages(object, imageFields)]
  const byPath = new Map<string, ImageField>()
  for (const { path, image, entriesApply, container } of fields) {
    const key = path.join('/')
    if (byPath.has(key)) continue
    byPath.set(key, {
      image,
      path,
      entriesApply,
      isPulled: true,
      isKnown: false,
      context: { ...unknownPod, namespace },
      ...known.get(key),
      patchKeys: [`${owner} /${key}`, ...(container === null ? [] : [`${owner} ${container}`])],
      object: title,
    })
  }
  for (const [key, { image, path, ...of }] of known)
    if (!byPath.has(key)) {
      const patchKeys = [`${owner} /${key}`]
      byPath.set(key, { image, path, entriesApply: 'never', patchKeys, object: title, ...of })
    }
  return [...byPath.values()]
}

export interface ImageFieldOptions {
  readonly workloads: readonly WorkloadKind[]
  readonly imageFields: readonly string[]
}

type KnownField = Pick<ImageField, 'image' | 'path' | 'isPulled' | 'isKnown' | 'context'>

/** Returns the fields that Berth rewrites, by their path. */
function knownFields(object: unknown, workloads: readonly WorkloadKind[]): Map<string, KnownField> {
  const known = new Map<string, KnownField>()
  for (const location of podLocationsIn(object, workloads))
    for (const { holder, imageKey, image, pullPolicy } of findSites(location.pod)) {
      const path = location.isPod ? [...location.path, ...holder, imageKey] : location.path
      const isPulled = pullPolicy !== 'Never'
      known.set(path.join('/'), { image, path, isPulled, isKnown: true, context: location.context })
    }
  return known
}

interface FoundImage {
  readonly path: DocumentPath
  readonly image: string
  readonly entriesApply: EntriesApply
  /** The list and the name of the container; null for other fields. */
  readonly container: string | null
}

/** Finds images as kustomize does: in lists with these names, anywhere in the object (api/filters/imagetag, legacy.go). */
function containerImages(value: unknown, path: DocumentPath = []): FoundImage[] {
  if (Array.isArray(value))
    return value.flatMap((item: unknown, index) => containerImages(item, [...path, index]))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, each]) => [
    ...(key === 'containers' || key === 'initContainers' ? imagesOfList(each, [...path, key]) : []),
    ...containerImages(each, [...path, key]),
  ])
}

function imagesOfList(list: unknown, path: DocumentPath): FoundImage[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((item: unknown, index): FoundImage[] => {
    const image = textOf(member(item, 'image'))
    if (image === null) return []
    const container = `${path.join('/')} ${textOf(member(item, 'name'))}`
    return [{ image, path: [...path, index, 'image'], entriesApply: 'always', container }]
  })
}

/** kustomize 5.8 applies entries to image volumes, and earlier versions do not. */
const volumeFields = [
  'spec/volumes[]/image/reference',
  'spec/template/spec/volumes[]/image/reference',
]

function fieldImages(object: unknown, imageFields: readonly string[]): FoundImage[] {
  return [...volumeFields, ...imageFields].flatMap((field) =>
    imagesAt(
      object,
      field.split('/').filter((part) => part !== ''),
    ),
  )
}

function imagesAt(value: unknown, keys: readonly string[], path: DocumentPath = []): FoundImage[] {
  const [key, ...rest] = keys
  if (key === undefined)
    return typeof value === 'string' && value !== ''
      ? [{ path, image: value, entriesApply: 'sometimes', container: null }]
      : []
  const name = key.replace(/\[\]$/, '')
  const child = member(value, name)
  // kustomize also goes through lists that the path does not mark.
  if (Array.isArray(child))
    return child.flatMap((item: unknown, index) => imagesAt(item, rest, [...path, name, index]))
  return imagesAt(child, rest, [...path, name])
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
