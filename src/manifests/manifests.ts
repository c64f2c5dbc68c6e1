/**
 * Reads Kubernetes manifests: YAML or JSON, with one or more documents. The parsed documents are never written back. They
 * only show where in the text something is, so that edits keep every other byte.
 */
import type { Document } from 'yaml'
import { isObject, member } from '../json/json.ts'
import { manifestLimits } from '../yaml/limits.ts'
import { createLocator, parseYaml } from '../yaml/parse-yaml.ts'
import { partsWithImages } from './skip-documents.ts'

/** Keys and indexes from the root of a document. */
export type DocumentPath = readonly (string | number)[]

export interface ManifestObject {
  readonly document: Document
  /** The object's path in its document: empty, or `['items', 3]` in a list. */
  readonly path: DocumentPath
  readonly value: unknown
}

export interface Manifests {
  readonly text: string
  /** Undefined if every object is parsed; see `readManifests`. */
  readonly imageKinds: readonly string[] | undefined
  readonly documents: readonly Document[]
  /** Every object of every document; the items of a List (a kind that ends in `List`) one by one. */
  readonly objects: readonly ManifestObject[]
  /** Returns the line of an offset in the text, from 1. */
  lineOf(offset: number): number
}

export interface InvalidManifests {
  /** Null if the problem has no position. */
  readonly line: number | null
  readonly message: string
  /** True if the text is valid YAML, but something else than manifests, for example a JSON patch. */
  readonly isYaml: boolean
}

export type ReadManifests =
  { readonly ok: true; readonly manifests: Manifests } | ({ readonly ok: false } & InvalidManifests)

/**
 * Parses manifests. Invalid YAML is a result, not an exception. Merge keys (`<<`) are applied, as in kubectl. With
 * `imageKinds`, objects that cannot have images are not parsed, except those of these kinds.
 */
export function readManifests(text: string, imageKinds?: readonly string[]): ReadManifests {
  const parts = imageKinds === undefined ? {} : { parts: partsWithImages(text, imageKinds) }
  const { documents, errors } = parseYaml(text, manifestLimits, { merge: true, ...parts })
  const positionAt = createLocator(text)
  const [error] = errors
  if (error !== undefined) return invalid(positionAt(error.offset).line, error.message, false)
  const other = documents.find((document) => !isManifest(valueOf(document)))
  if (other !== undefined)
    return invalid(
      positionAt(other.contents?.range?.[0] ?? 0).line,
      'it is not a manifest: a manifest is a map with apiVersion and kind',
      true,
    )
  const objects = documents.flatMap((document) =>
    objectsIn(valueOf(document)).map((found) => ({ document, ...found })),
  )
  const lineOf = (offset: number) => positionAt(offset).line
  return { ok: true, manifests: { text, imageKinds, documents, objects, lineOf } }
}

function invalid(line: number, message: string, isYaml: boolean): ReadManifests {
  return { ok: false, line, message, isYaml }
}

/** False for a list or a scalar, as in kubectl. A document may be empty. Other maps, such as Helm values, are left alone. */
function isManifest(value: unknown): boolean {
  return value === null || value === undefined || isObject(value)
}

/** Returns the value of a document. Aliases share their values. */
export function valueOf(document: Document): unknown {
  return document.toJS({ maxAliasCount: -1 })
}

function objectsIn(
  value: unknown,
  path: DocumentPath = [],
): { path: DocumentPath; value: unknown }[] {
  if (!isObject(value)) return []
  const kind = member(value, 'kind')
  const items = member(value, 'items')
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items))
    return [{ path, value }]
  return items.flatMap((item: unknown, index) => objectsIn(item, [...path, 'items', index]))
}
