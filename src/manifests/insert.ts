/** New members and items in the text of a YAML document, indented and quoted as their neighbours are. */
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
import type { TextEdit } from './edit.ts'
import { plainOrQuoted } from './scalar.ts'

interface Member {
  readonly key: string
  readonly value: unknown
}

/** A member behind another one of the same map: on a line of its own in block style, and where its neighbour has one. */
export function insertAfter(
  text: string,
  beside: Pair<Node, Node | null>,
  { key, value, flow }: Member & { readonly flow: boolean },
): TextEdit | null {
  const start = beside.key.range?.[0]
  const end = beside.value?.range?.[1]
  if (start === undefined || end === undefined) return null
  if (flow) {
    const member = flowMember(key, value, isQuoted(text, start))
    return at(end, `,${ownLine(text, start) ?? ' '}${member}`)
  }
  const line = `${' '.repeat(columnOf(text, start))}${key}: ${flowValue(value, false)}`
  const newline = newlineOf(text)
  return text[end - 1] === '\n'
    ? at(end, `${line}${newline}`)
    : at(lineEnd(text, end), `${newline}${line}`)
}

/** A member before all others of a map; in block style on the line behind the key that holds the map. */
export function insertFirst(
  text: string,
  { map, holder }: { readonly map: YAMLMap; readonly holder: Node | null },
  key: string,
  value: unknown,
): TextEdit | null {
  const first = map.items[0]?.key as Node | undefined
  const start = first?.range?.[0]
  if (start === undefined || !map.range) return null
  if (map.flow === true) {
    const member = flowMember(key, value, isQuoted(text, start))
    return at(start, `${member},${ownLine(text, start) ?? ' '}`)
  }
  if (!holder?.range) return null
  const indent = ' '.repeat(columnOf(text, start))
  const newline = newlineOf(text)
  const items = Array.isArray(value) ? (value as unknown[]) : []
  const lines = [
    `${indent}${key}:`,
    ...items.map((item) => `${indent}${' '.repeat(sequenceOffset(text, map))}${blockItem(item)}`),
  ]
  return at(lineEnd(text, holder.range[1]), lines.map((line) => newline + line).join(''))
}

/** Items at the end of a list. */
export function appendItems(
  text: string,
  list: YAMLSeq,
  values: readonly unknown[],
): TextEdit | null {
  if (!list.range) return null
  const last = list.items.at(-1) as Node | undefined
  if (list.flow === true) {
    const items = values.map((value) => flowValue(value, isJson(text)))
    if (!last?.range) return at(list.range[0] + 1, items.join(', '))
    const space = ownLine(text, last.range[0]) ?? ' '
    return at(last.range[1], items.map((item) => `,${space}${item}`).join(''))
  }
  const end = last === undefined ? undefined : leafEnd(last)
  if (end === undefined) return null
  const line = newlineOf(text) + ' '.repeat(columnOf(text, list.range[0]))
  return at(lineEnd(text, end), values.map((value) => line + blockItem(value)).join(''))
}

function at(offset: number, text: string): TextEdit {
  return { start: offset, end: offset, text }
}

/** Where the last thing in a node ends; a block collection itself ends behind its comments. */
function leafEnd(node: Node): number | undefined {
  if (isMap(node) && node.flow !== true) {
    const last = node.items.at(-1)
    const leaf = (last?.value ?? last?.key) as Node | undefined
    return leaf === undefined ? undefined : leafEnd(leaf)
  }
  if (isSeq(node) && node.flow !== true) {
    const last = node.items.at(-1) as Node | undefined
    return last === undefined ? undefined : leafEnd(last)
  }
  return isScalar(node) || isAlias(node) || isMap(node) || isSeq(node) ? node.range?.[1] : undefined
}

/** By how much the lists of a map are indented against its keys: 0 or 2, as the file's author likes it. */
function sequenceOffset(text: string, map: YAMLMap): number {
  for (const { key, value } of map.items as Pair<Node, Node | null>[]) {
    if (!isSeq(value) || value.flow === true || !value.range || !key.range) continue
    return Math.max(0, columnOf(text, value.range[0]) - columnOf(text, key.range[0]))
  }
  return 2
}

/** Line break and indentation, if only white space stands before this place on its line. */
function ownLine(text: string, offset: number): string | null {
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

/** In JSON everything is quoted. */
export function isJson(text: string): boolean {
  return /^\s*[{[]/.test(text)
}

function isQuoted(text: string, offset: number): boolean {
  return text[offset] === '"'
}

function blockItem(value: unknown): string {
  return `- ${blockPairs(value)}`
}

function blockPairs(value: unknown): string {
  if (typeof value !== 'object' || value === null) return flowValue(value, false)
  return Object.entries(value)
    .map(([key, each]) => `${key}: ${flowValue(each, false)}`)
    .join(', ')
}

function flowMember(key: string, value: unknown, quoted: boolean): string {
  return `${quoted ? JSON.stringify(key) : key}: ${flowValue(value, quoted)}`
}

/** A value in flow style; quoted as in JSON. */
export function flowValue(value: unknown, quoted: boolean): string {
  if (typeof value === 'string') return quoted ? JSON.stringify(value) : plainOrQuoted(value)
  if (Array.isArray(value)) return `[${value.map((each) => flowValue(each, quoted)).join(', ')}]`
  const members = Object.entries(value as object).map(([key, each]) =>
    flowMember(key, each, quoted),
  )
  return quoted ? `{${members.join(', ')}}` : `{ ${members.join(', ')} }`
}
