/**
 * A JSON Patch as edits of the text that the object was read from: the bytes of one scalar are replaced, a line is put
 * in, and everything else stays as people wrote it. What came out is read again, and has to mean exactly what the patch
 * makes of the object; otherwise there is no new text.
 */
import { parseJsonPointer } from '../json/json-pointer.ts'
import { isDeepStrictEqual } from 'node:util'
import { type Document, isAlias, isCollection, isMap, isScalar, isSeq, type Node } from 'yaml'
import { applyPatch, type JsonPatch } from '../decision/pod/patch.ts'
import { appendItems, flowValue, insertAfter, insertFirst, isJson } from './insert.ts'
import { follow, nodeAt, pairAt } from './locate.ts'
import { scalarText } from './scalar.ts'
import { type Manifests, type Path, readManifests } from './source.ts'

/** Characters from `start` up to `end` become `text`. */
export interface TextEdit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Operations on one document, with paths from its root. */
export interface DocumentPatch {
  readonly document: Document
  readonly patch: JsonPatch
}

/** The text with the patches in it; null when it cannot be written so that only the patches' places change. */
export function editText(manifests: Manifests, patches: readonly DocumentPatch[]): string | null {
  const edits = patches.flatMap(({ document, patch }) => editsFor(manifests.text, document, patch))
  const text = applyEdits(manifests.text, edits)
  return text !== null && means(text, manifests, patches) ? text : null
}

function editsFor(text: string, document: Document, patch: JsonPatch): (TextEdit | null)[] {
  const operations = patch.map((operation) => ({
    path: parseJsonPointer(operation.path),
    value: 'value' in operation ? (operation.value as unknown) : undefined,
  }))
  const appended = operations.filter(({ path }) => path.at(-1) === '-')
  /** Scalars that get another text, by where they stand: an alias of such a one needs no text of its own. */
  const replaced = new Map<number, unknown>()
  for (const { path, value } of operations) {
    const node = nodeAt(document, path)
    if (isScalar(node) && node.range) replaced.set(node.range[0], value)
  }
  const single = operations.flatMap(({ path, value }) => {
    if (path.at(-1) === '-') return []
    const node = nodeAt(document, path)
    if (node !== null && isAlias(node)) {
      const source = follow(document, node)
      if (source?.range && replaced.get(source.range[0]) === value) return []
    }
    return [node === null ? insertion(text, document, path, value) : replacement(text, node, value)]
  })
  const lists = Map.groupBy(appended, ({ path }) => path.slice(0, -1).join('/'))
  return [...single, ...[...lists.values()].map((group) => appending(text, document, group))]
}

function appending(
  text: string,
  document: Document,
  group: readonly { readonly path: Path; readonly value: unknown }[],
): TextEdit | null {
  const list = follow(document, nodeAt(document, group[0]?.path.slice(0, -1) ?? []))
  return isSeq(list)
    ? appendItems(
        text,
        list,
        group.map(({ value }) => value),
      )
    : null
}

function replacement(text: string, node: Node, value: unknown): TextEdit | null {
  if (isCollection(node) || !node.range) return null
  const [start, end] = node.range
  if (typeof value !== 'string') {
    // `imagePullSecrets:` with nothing behind it, as templates leave it.
    const isNull = isScalar(node) && node.value === null
    return isNull
      ? { start, end, text: `${start === end ? ' ' : ''}${flowValue(value, isJson(text))}` }
      : null
  }
  return {
    start,
    end,
    text: scalarText(value, isScalar(node) ? node.type : undefined, text.slice(start, end)),
  }
}

/** What a member is put behind, so that it stands where people look for it. */
const neighbours: Readonly<Record<string, string>> = {
  imagePullPolicy: 'image',
  pullPolicy: 'reference',
}

function insertion(text: string, document: Document, path: Path, value: unknown): TextEdit | null {
  const parent = follow(document, nodeAt(document, path.slice(0, -1)))
  const key = path.at(-1)
  if (!isMap(parent) || typeof key !== 'string') return null
  const neighbour = neighbours[key]
  if (neighbour === undefined) {
    const holder = pairAt(document, path.slice(0, -1))
    return insertFirst(text, { map: parent, holder: holder?.key ?? null }, key, value)
  }
  const beside = pairAt(document, [...path.slice(0, -1), neighbour])
  return beside === null
    ? null
    : insertAfter(text, beside, { key, value, flow: parent.flow === true })
}

/** Null when an edit is missing, or two of them touch the same text. */
function applyEdits(text: string, edits: readonly (TextEdit | null)[]): string | null {
  // What is shared by an alias is edited once.
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

/** Whether the text, read again, is the old documents with the patches applied, and nothing else. */
function means(text: string, before: Manifests, patches: readonly DocumentPatch[]): boolean {
  const after = readManifests(text)
  if (!after.ok || after.manifests.documents.length !== before.documents.length) return false
  return before.documents.every((document, index) => {
    const patch = patches.filter((each) => each.document === document).flatMap((each) => each.patch)
    return isDeepStrictEqual(
      plain(after.manifests.documents[index]),
      applyPatch(plain(document), patch),
    )
  })
}

/** The document's meaning with nothing shared in it: a patch of one place must not reach another through an alias. */
function plain(document: Document | undefined): unknown {
  return JSON.parse(JSON.stringify(document?.toJS() ?? null)) as unknown
}
