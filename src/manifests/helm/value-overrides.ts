/**
 * Finds values of one chart that several documents set, such as a HelmRelease and its overlay, or a patch of a kustomization.
 * A decision for one of them can be wrong for the merged values.
 */
import { isObject, member, textMember } from '../../json/json.ts'
import {
  inlineObjects,
  isJsonPatch,
  isKustomizationName,
  readKustomization,
} from '../kustomize/kustomization.ts'
import type { ManifestFile } from '../manifest-files.ts'
import { readManifests } from '../manifests.ts'
import { kindOf } from '../pod-locations.ts'
import { namedValues, partPathsInMap, partPathsInNames } from './value-images.ts'
import { valuePlacesIn } from './value-places.ts'

export interface ValueOverrides {
  /** Whether another document or a patch sets a part of the image at a path of the values. */
  isOverridden(object: unknown, valuePath: string): boolean
}

interface Owner {
  /** The number of documents that set the path. */
  readonly documents: Map<string, number>
  /** The paths in documents that name no chart. */
  readonly partial: Set<string>
  isPatched: boolean
}

const jsonPatchOfValues = /^\s*-?\s*["']?path["']?:\s*["']?\/spec\/(?:values|source)/m

const helmKind =
  /^\s*-?\s*["']?kind["']?:\s*["']?(?:HelmRelease|HelmChart|HelmChartConfig|Application)\b/m

export function readValueOverrides(files: readonly ManifestFile[]): ValueOverrides {
  const owners = new Map<string, Owner>()
  let patchesUnknown = false
  const ownerOf = (key: string): Owner => {
    const owner = owners.get(key) ?? { documents: new Map(), partial: new Set(), isPatched: false }
    owners.set(key, owner)
    return owner
  }
  const add = (object: unknown, isPatch: boolean): void => {
    const paths = partPaths(object)
    if (paths.size === 0) return
    const owner = ownerOf(ownerKey(object))
    for (const path of paths) {
      owner.documents.set(path, (owner.documents.get(path) ?? 0) + (isPatch ? 2 : 1))
      if (isPatch || isPartial(object)) owner.partial.add(path)
    }
  }
  const addPatch = (text: string, target: string | null): void => {
    for (const document of inlineObjects(text)) {
      if (!isJsonPatch(document)) add(withTarget(document, target), true)
      else if (document.some(changesValues)) {
        if (target === null) patchesUnknown = true
        else ownerOf(target.replace(/^HelmChartConfig\//, 'HelmChart/')).isPatched = true
      }
    }
  }
  const addKustomization = (text: string): void => {
    const read = readKustomization(text)
    const patches = read.ok ? read.kustomization.patches : []
    for (const patch of patches) if ('text' in patch) addPatch(patch.text, patch.target)
  }
  const addManifests = (text: string): void => {
    const read = readManifests(text)
    const objects = read.ok ? read.manifests.objects : []
    for (const { value } of objects) add(value, false)
  }
  for (const { name, text } of files) {
    if (isKustomizationName(name)) addKustomization(text)
    else if (helmKind.test(text)) addManifests(text)
    // A JSON patch in a file. Its target is in a kustomization.
    else if (jsonPatchOfValues.test(text)) patchesUnknown = true
  }
  return {
    isOverridden: (object, path) => {
      if (patchesUnknown && kindOf(object) !== '') return true
      const owner = owners.get(ownerKey(object))
      if (owner === undefined) return false
      return owner.isPatched || ((owner.documents.get(path) ?? 0) > 1 && owner.partial.has(path))
    },
  }
}

/** A HelmChartConfig changes the HelmChart of the same name. Namespaces can differ, because kustomizations set them. */
function ownerKey(object: unknown): string {
  const kind = textMember(object, 'kind').replace(/^HelmChartConfig$/, 'HelmChart')
  return `${kind}/${textMember(member(object, 'metadata'), 'name')}`
}

function withTarget(document: unknown, target: string | null): unknown {
  const [kind, name] = target?.split('/') ?? []
  return isObject(document) && kind !== undefined && name !== undefined
    ? { ...document, kind, metadata: { name } }
    : document
}

/** Returns true if the object does not say which chart the values are for. */
function isPartial(object: unknown): boolean {
  const spec = member(object, 'spec')
  if (kindOf(object) === 'argoproj.io/Application')
    return member(spec, 'project') === undefined || member(spec, 'destination') === undefined
  return ['chart', 'chartRef', 'chartContent'].every((key) => member(spec, key) === undefined)
}

function partPaths(object: unknown): Set<string> {
  return new Set(
    valuePlacesIn(object).flatMap((place) => {
      const { form, value } = place
      if (form === 'map') return [...partPathsInMap(value)]
      if (form === 'text')
        return inlineObjects(String(value)).flatMap((each) => [...partPathsInMap(each)])
      return [...partPathsInNames(namedValues(place).map(({ name }) => name))]
    }),
  )
}

function changesValues(operation: unknown): boolean {
  return /^\/spec(?:$|\/(?:values|valuesContent|set|source|sources)(?:\/|$))/.test(
    textMember(operation, 'path'),
  )
}
