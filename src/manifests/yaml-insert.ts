/** Inserts members and list items into the text of a YAML document, with the indentation and quotes of their neighbours. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { TextEdit } from './patch-text.ts'
import { plainOrQuoted } from './yaml-scalar.ts'

interface NewMember {
  readonly key: string
  readonly value: unknown
  /** True in a flow map: `{ a: b }`. */
  readonly isFlow: boolean
}

/** Inserts a member after `sibling`: on a new line in block style, and in flow style on a new line if the sibling has one. */
export function insertAfter(
  text: string,
  sibling: Pair<Node, Node | null>,
  { key, value, isFlow }: NewMember,
): TextEdit | null {
  const start = sibling.key.range?.[0]
  const end = sibling.value?.range?.[1]
  if (start === undefined || end === undefined) return null
  if (isFlow) {
    const member = flowMember(key, value, isQuoted(text, start))
    return insertion(end, `,${indentOf(text, start) ?? ' '}${member}`)
  }
  const line = `${' '.repeat(columnOf(text, start))}${key}: ${flowValue(value, false)}`
  const newline = newlineOf(text)
  return text[end - 1] === '\n'
    ? insertion(end, `${line}${newline}`)
    : insertion(lineEnd(text, end), `${newline}${line}`)
}

/** Inserts a member before all others of a map; in block style on the line after the map's own key. */
export function insertFirst(
  text: string,
  { map, mapKey }: { readonly map: YAMLMap; readonly mapKey: Node | null },
  key: string,
  value: unknown,
): TextEdit | null {
  const first = map.items[0]?.key as Node | undefined
  const start = first?.range?.[0]
  if (start === undefined || !map.range) return null
  if (map.flow === true) {
    const member = flowMember(key, value, isQuoted(text, start))
    return insertion(start, `${member},${indentOf(text, start) ?? ' '}`)
  }
  if (!mapKey?.range) return null
  const indent = ' '.repeat(columnOf(text, start))
  const newline = newlineOf(text)
  const items = Array.isArray(value) ? (value as unknown[]) : []
  const itemIndent = indent + ' '.repeat(listIndent(text, map))
  const lines = [
    `${indent}${key}:`,
    ...items.map((item) => `${itemIndent}${blockItem(item, newline + itemIndent)}`),
  ]
  return insertion(lineEnd(text, mapKey.range[1]), lines.map((line) => newline + line).join(''))
}

/** Appends items to a list. */
export function appendItems(
  text: string,
  list: YAMLSeq,
  values: readonly unknown[],
): TextEdit | null {
  if (!list.range) return null
  const last = list.items.at(-1) as Node | undefined
  if (list.flow === true) {
    const items = values.map((value) => flowValue(value, isJson(text)))
    if (!last?.range) return insertion(list.range[0] + 1, items.join(', '))
    const space = indentOf(text, last.range[0]) ?? ' '
    return insertion(last.range[1], items.map((item) => `,${space}${item}`).join(''))
  }
  const end = last === undefined ? undefined : contentEnd(last)
  if (end === undefined) return null
  const line = newlineOf(text) + ' '.repeat(columnOf(text, list.range[0]))
  return insertion(
    lineEnd(text, end),
    values.map((value) => line + blockItem(value, line)).join(''),
  )
}

function insertion(offset: number, text: string): TextEdit {
  return { start: offset, end: offset, text }
}

/** Returns the end of the last scalar in a node. The range of a block collection also includes the comments after it. */
function contentEnd(node: Node): number | undefined {
  if (isMap(node) && node.flow !== true) {
    const pair = node.items.at(-1)
    const last = (pair?.value ?? pair?.key) as Node | undefined
    return last === undefined ? undefined : contentEnd(last)
  }
  if (isSeq(node) && node.flow !== true) {
    const last = node.items.at(-1) as Node | undefined
    return last === undefined ? undefined : contentEnd(last)
  }
  return isScalar(node) || isAlias(node) || isMap(node) || isSeq(node) ? node.range?.[1] : undefined
}

/** Returns how far the lists of a map are indented relative to its keys: 0 or 2. Both are common. */
function listIndent(text: string, map: YAMLMap): number {
  for (const { key, value } of map.items as Pair<Node, Node | null>[]) {
    if (!isSeq(value) || value.flow === true || !value.range || !key.range) continue
    return Math.max(0, columnOf(text, value.range[0]) - columnOf(text, key.range[0]))
  }
  return 2
}

/** Returns the newline and the indentation if only white space precedes the offset on its line; otherwise null. */
function indentOf(text: string, offset: number): string | null {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  const before = text.slice(start, offset)
  return start > 0 && before.trim() === '' ? newlineOf(text) + before : null
}

function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf('\n', offset - 1) + 1)
}

function lineEnd(text: string, offset: number): number {
  const end = text.indexOf('\n', offset)
  if (end === -1) return text.length
  return text[end - 1] === '\r' ? end - 1 : end
}

function newlineOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n'
}

/** JSON needs quotes where YAML does not. */
export function isJson(text: string): boolean {
  return /^\s*[{[]/.test(text)
}

function isQuoted(text: string, offset: number): boolean {
  return text[offset] === '"'
}

/** A list item in block style. `line` is a newline and the indentation of the item. */
function blockItem(value: unknown, line: string): string {
  if (typeof value !== 'object' || value === null) return `- ${flowValue(value, false)}`
  const members = Object.entries(value).map(([key, each]) => flowMember(key, each, false))
  return `- ${members.join(`${line}  `)}`
}

function flowMember(key: string, value: unknown, isQuotedKey: boolean): string {
  return `${isQuotedKey ? JSON.stringify(key) : key}: ${flowValue(value, isQuotedKey)}`
}

/** Returns a value in flow style; with quotes as in JSON. */
export function flowValue(value: unknown, quoted: boolean): string {
  if (typeof value === 'string') return quoted ? JSON.stringify(value) : plainOrQuoted(value)
  if (Array.isArray(value)) return `[${value.map((each) => flowValue(each, quoted)).join(', ')}]`
  const members = Object.entries(value as object).map(([key, each]) =>
    flowMember(key, each, quoted),
  )
  return quoted ? `{${members.join(', ')}}` : `{ ${members.join(', ')} }`
}
