/**
 * Reads Kubernetes manifests: YAML or JSON, with one or more documents. The parsed documents are never written back. They
 * only show where in the text something is, so that edits keep every other byte.
 */
import { type Document, LineCounter, parseAllDocuments } from 'yaml'
import { isObject, member } from '../json/json.ts'

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
  readonly documents: readonly Document[]
  /** Every object of every document; the items of a List (a kind that ends in `List`) one by one. */
  readonly objects: readonly ManifestObject[]
  /** Returns the line of an offset in the text, from 1. */
  lineOf(offset: number): number
}

export type ReadManifests =
  | { readonly ok: true; readonly manifests: Manifests }
  /** `line` is null when the problem has no position. */
  | { readonly ok: false; readonly line: number | null; readonly message: string }

/** Parses manifests. Invalid YAML is a result, not an exception. Merge keys (`<<`) are applied, as in kubectl. */
export function readManifests(text: string): ReadManifests {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    merge: true,
    prettyErrors: false,
    logLevel: 'error',
  })
  const documents: Document[] = 'empty' in parsed ? [] : parsed
  const error = documents.flatMap((document) => document.errors)[0]
  const lineOf = (offset: number) => lines.linePos(offset).line
  if (error !== undefined)
    return { ok: false, line: lineOf(error.pos[0]), message: error.message.replace(/\.?$/, '') }
  try {
    const objects = documents.flatMap((document) => {
      const value = document.toJS() as unknown
      // This throws if an anchor contains an alias of itself, which makes an infinite value.
      if (text.includes('&')) JSON.stringify(value)
      return objectsIn(value).map((found) => ({ document, ...found }))
    })
    return { ok: true, manifests: { text, documents, objects, lineOf } }
  } catch {
    // The library rejects more than a hundred aliases of aliases, as an attack would have.
    const message = 'it uses too many YAML aliases, or an alias inside its own anchor'
    return { ok: false, line: null, message }
  }
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
