/**
 * Kubernetes manifests as people keep them: text, YAML or JSON, one document or many. Nothing here is ever written back
 * from what was parsed; the parse only tells where in the text a thing stands.
 */
import { type Document, LineCounter, parseAllDocuments } from 'yaml'
import { isObject, member } from '../json/json.ts'

/** Members and positions, from the root of a document. */
export type Path = readonly (string | number)[]

export interface ManifestObject {
  readonly document: Document
  /** Where the object stands in its document: empty, or `['items', 3]` in a list. */
  readonly path: Path
  readonly value: unknown
}

export interface Manifests {
  readonly text: string
  readonly documents: readonly Document[]
  /** Every object of every document; those of a List (of any kind that ends so) one by one. */
  readonly objects: readonly ManifestObject[]
  /** The line, counted from one, of an offset into the text. */
  lineOf(offset: number): number
}

export type ReadManifests =
  | { readonly ok: true; readonly manifests: Manifests }
  /** `line` is null when the fault has no place. */
  | { readonly ok: false; readonly line: number | null; readonly message: string }

/** Reads manifests; a text that is no YAML is a value, not an exception. Merge keys (`<<`) count, as they do for kubectl. */
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
      // An anchor with an alias of it inside makes a value without end, and this throws.
      if (text.includes('&')) JSON.stringify(value)
      return objectsIn(value).map((found) => ({ document, ...found }))
    })
    return { ok: true, manifests: { text, documents, objects, lineOf } }
  } catch {
    // The library refuses more than a hundred aliases of aliases, which only an attack has.
    const message = 'uses too many YAML aliases, or one inside its own anchor'
    return { ok: false, line: null, message }
  }
}

function objectsIn(value: unknown, path: Path = []): { path: Path; value: unknown }[] {
  if (!isObject(value)) return []
  const kind = member(value, 'kind')
  const items = member(value, 'items')
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items))
    return [{ path, value }]
  return items.flatMap((item: unknown, index) => objectsIn(item, [...path, 'items', index]))
}
