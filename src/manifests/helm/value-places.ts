/** Finds Helm values in the objects of Flux, K3s and Argo CD, and in values files. Pure. */
import { isObject, type JsonObject, member, objectsMember, textMember } from '../../json/json.ts'
import type { DocumentPath } from '../manifests.ts'
import { kindOf } from '../pod-locations.ts'

/** One place with Helm values. */
export interface ValuePlace {
  readonly path: DocumentPath
  /**
   * `map`: the values themselves. `text`: YAML with the values. `set`: a map with names such as `image.tag`. `list`: the same
   * as objects with `name` and `value`.
   */
  readonly form: 'map' | 'text' | 'set' | 'list'
  readonly value: unknown
}

/** Returns the places of an object. A values file is one place. */
export function valuePlacesIn(object: unknown): ValuePlace[] {
  const spec = member(object, 'spec')
  switch (kindOf(object)) {
    case 'helm.toolkit.fluxcd.io/HelmRelease':
      return placesAt(spec, ['spec'], { values: 'map' })
    case 'helm.cattle.io/HelmChart':
    case 'helm.cattle.io/HelmChartConfig':
      return placesAt(spec, ['spec'], { valuesContent: 'text', set: 'set' })
    case 'argoproj.io/Application':
      return applicationPlaces(spec, ['spec'])
    case 'argoproj.io/ApplicationSet':
      return applicationPlaces(applicationSpec(object), ['spec', 'template', 'spec'])
    case '':
      return isValuesFile(object) ? [{ path: [], form: 'map', value: object }] : []
    default:
      return []
  }
}

/** Returns false for an object of Kubernetes and for a patch of one. */
function isValuesFile(value: unknown): value is JsonObject {
  return isObject(value) && !('apiVersion' in value) && !('kind' in value)
}

function applicationPlaces(spec: unknown, path: DocumentPath): ValuePlace[] {
  const sources = objectsMember(spec, 'sources')
  const holders: { value: unknown; path: DocumentPath }[] = [
    { value: member(spec, 'source'), path: [...path, 'source'] },
    ...sources.map((value, index) => ({ value, path: [...path, 'sources', index] })),
  ]
  return holders.flatMap((source) =>
    placesAt(member(source.value, 'helm'), [...source.path, 'helm'], {
      values: 'text',
      valuesObject: 'map',
      parameters: 'list',
    }),
  )
}

function placesAt(
  holder: unknown,
  path: DocumentPath,
  forms: Readonly<Record<string, ValuePlace['form']>>,
): ValuePlace[] {
  return Object.entries(forms).flatMap(([key, form]) => {
    const value = member(holder, key)
    const isUsable = form === 'text' ? typeof value === 'string' : typeof value === 'object'
    return isUsable && value !== null ? [{ path: [...path, key], form, value }] : []
  })
}

/** Returns the namespace that an object names for the release; null if it names none. */
export function targetNamespace(object: unknown): string | null {
  const spec = member(object, 'spec')
  const application = isApplication(object) ? applicationSpec(object) : undefined
  const target =
    textMember(spec, 'targetNamespace') ||
    textMember(member(application, 'destination'), 'namespace')
  // An ApplicationSet has a template.
  return target === '' || target.includes('{{') ? null : target
}

/** Returns true if the namespace of the object says nothing about the namespace of the pods. */
export function isApplication(object: unknown): boolean {
  return /^argoproj\.io\/Application(?:Set)?$/.test(kindOf(object))
}

function applicationSpec(object: unknown): unknown {
  const spec = member(object, 'spec')
  return kindOf(object) === 'argoproj.io/ApplicationSet'
    ? member(member(spec, 'template'), 'spec')
    : spec
}

/** Returns the names of the images that a HelmRelease replaces after the chart is rendered, as they are written. */
export function postRenderedNames(object: unknown): string[] {
  const renderers = objectsMember(member(object, 'spec'), 'postRenderers')
  return renderers.flatMap((renderer) =>
    objectsMember(member(renderer, 'kustomize'), 'images').map((entry) =>
      textMember(entry, 'name'),
    ),
  )
}

/** Returns the paths that other sources of values set, such as `image.tag`. */
export function otherValuePaths(object: unknown): string[] {
  return objectsMember(member(object, 'spec'), 'valuesFrom').flatMap((source) => {
    const path = textMember(source, 'targetPath')
    return path === '' ? [] : [path]
  })
}
