/**
 * Applies JSON Patches to the text of manifests: it replaces single scalars and inserts lines, and keeps every other byte.
 * The new text is parsed again, and must mean exactly the patched objects.
 */
import { isDeepStrictEqual } from 'node:util'
import { type Document, isAlias, isCollection, isMap, isScalar, isSeq, type Node } from 'yaml'
import { applyPatch, type JsonPatch } from '../decision/pod/patch.ts'
import { parseJsonPointer } from '../json/json-pointer.ts'
import { type DocumentPath, type Manifests, readManifests, valueOf } from './manifests.ts'
import { appendItems, flowValue, insertAfter, insertFirst, isJson } from './yaml-insert.ts'
import { nodeAt, pairAt, resolveAlias } from './yaml-node.ts'
import { editedText, scalarText } from './yaml-scalar.ts'

/** Replaces the characters from `start` to before `end` by `text`. */
export interface TextEdit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** The patch of one document; its pointers start at the root. */
export interface DocumentPatch {
  readonly document: Document
  readonly patch: JsonPatch
}

/** Returns the patched text; null if no edit of the text changes only what the patches change. */
export function patchText(manifests: Manifests, patches: readonly DocumentPatch[]): string | null {
  const edits = patches.flatMap(({ document, patch }) => editsFor(manifests.text, document, patch))
  const text = applyEdits(manifests.text, edits)
  return text !== null && isPatched(text, manifests, patches) ? text : null
}

/** Returns one edit for each operation; null for an operation that no edit can express. */
function editsFor(text: string, document: Document, patch: JsonPatch): (TextEdit | null)[] {
  const operations = patch.map((operation) => ({
    path: parseJsonPointer(operation.path),
    value: 'value' in operation ? (operation.value as unknown) : undefined,
  }))
  /** New values of scalars, by their offset. An alias of such a scalar needs no edit. */
  const replaced = new Map<number, unknown>()
  for (const { path, value } of operations) {
    const node = nodeAt(document, path)
    if (isScalar(node) && node.range) replaced.set(node.range[0], value)
  }
  const isAppend = ({ path }: { readonly path: DocumentPath }) => path.at(-1) === '-'
  const edits = operations
    .filter((operation) => !isAppend(operation))
    .flatMap(({ path, value }) => {
      const node = nodeAt(document, path)
      if (node === null) return [insertionEdit(text, document, path, value)]
      const source = isAlias(node) ? resolveAlias(document, node) : null
      if (source?.range && replaced.get(source.range[0]) === value) return []
      return [replacementEdit(text, node, value)]
    })
  const lists = Map.groupBy(operations.filter(isAppend), ({ path }) => path.slice(0, -1).join('/'))
  return [...edits, ...[...lists.values()].map((group) => appendEdit(text, document, group))]
}

function appendEdit(
  text: string,
  document: Document,
  operations: readonly { readonly path: DocumentPath; readonly value: unknown }[],
): TextEdit | null {
  const listPath = operations[0]?.path.slice(0, -1) ?? []
  const list = resolveAlias(document, nodeAt(document, listPath))
  if (!isSeq(list)) return null
  return appendItems(
    text,
    list,
    operations.map(({ value }) => value),
  )
}

function replacementEdit(text: string, node: Node, value: unknown): TextEdit | null {
  if (isCollection(node) || !node.range) return null
  const [start, end] = node.range
  if (typeof value !== 'string') {
    // `imagePullSecrets:` without a value, as templates render it.
    const isNull = isScalar(node) && node.value === null
    return isNull
      ? { start, end, text: `${start === end ? ' ' : ''}${flowValue(value, isJson(text))}` }
      : null
  }
  if (isScalar(node) && /\s/.test(String(node.value))) {
    const edited = editedText(text.slice(start, end), node, value)
    return edited === null ? null : { start, end, text: edited }
  }
  return {
    start,
    end,
    text:
      (start === end ? ' ' : '') +
      scalarText(value, isScalar(node) ? node.type : undefined, text.slice(start, end)),
  }
}

/** The member after which a new member is inserted, where people look for it. */
const insertedAfter: Readonly<Record<string, string>> = {
  imagePullPolicy: 'image',
  pullPolicy: 'reference',
  newName: 'name',
  newTag: 'name',
  digest: 'name',
}

function insertionEdit(
  text: string,
  document: Document,
  path: DocumentPath,
  value: unknown,
): TextEdit | null {
  const parentPath = path.slice(0, -1)
  const parent = resolveAlias(document, nodeAt(document, parentPath))
  const key = path.at(-1)
  if (!isMap(parent) || typeof key !== 'string') return null
  const siblingKey = insertedAfter[key]
  if (siblingKey === undefined) {
    const parentPair = pairAt(document, parentPath)
    return insertFirst(text, { map: parent, mapKey: parentPair?.key ?? null }, key, value)
  }
  const sibling = pairAt(document, [...parentPath, siblingKey])
  return sibling === null
    ? null
    : insertAfter(text, sibling, { key, value, isFlow: parent.flow === true })
}

/** Returns null if an edit is missing, or if two edits overlap. */
function applyEdits(text: string, edits: readonly (TextEdit | null)[]): string | null {
  // What several aliases share has the same edit for each of them.
  const distinct = new Map(edits.map((edit) => [edit === null ? '' : JSON.stringify(edit), edit]))
  const parts: string[] = []
  let reached = 0
  for (const edit of [...distinct.values()].sort((a, b) => (a?.start ?? 0) - (b?.start ?? 0))) {
    if (edit === null || edit.start < reached) return null
    parts.push(text.slice(reached, edit.start), edit.text)
    reached = edit.end
  }
  return parts.join('') + text.slice(reached)
}

/** True if the text parses to the original documents with the patches applied. */
function isPatched(text: string, before: Manifests, patches: readonly DocumentPatch[]): boolean {
  const after = readManifests(text, before.imageKinds)
  if (!after.ok || after.manifests.documents.length !== before.documents.length) return false
  const patchesOf = Map.groupBy(patches, ({ document }) => document)
  return before.documents.every((document, index) => {
    const patch = (patchesOf.get(document) ?? []).flatMap((each) => each.patch)
    const written = after.manifests.documents[index]
    return (
      written !== undefined &&
      isDeepStrictEqual(unsharedValue(written), applyPatch(unsharedValue(document), patch))
    )
  })
}

/** Returns the document's value with nothing shared: a patch at one path must not change another path through an alias. */
function unsharedValue(document: Document): unknown {
  return JSON.parse(JSON.stringify(valueOf(document) ?? null)) as unknown
}
