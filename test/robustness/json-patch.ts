/** A second implementation of JSON Patch, written from RFC 6902 alone, to compare the first one with. */
import { isDeepStrictEqual } from 'node:util'

export interface Operation {
  readonly op: string
  readonly path: string
  readonly value?: unknown
}

type Path = readonly (string | number)[]

/** Returns the document after all operations. Throws where the RFC defines an error. */
export function applyOperations(document: unknown, operations: readonly Operation[]): unknown {
  return operations.reduce(
    (node, operation) => change(node, tokensOf(operation), operation),
    document,
  )
}

function tokensOf({ op, path }: Operation): string[] {
  if (!['add', 'remove', 'replace'].includes(op)) throw new Error(`no such operation: ${op}`)
  if (!path.startsWith('/') || /~(?![01])/.test(path)) throw new Error(`no pointer: ${path}`)
  const tokens = path.slice(1).split('/')
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function change(node: unknown, tokens: readonly string[], operation: Operation): unknown {
  if (Array.isArray(node)) return changeList(node, tokens, operation)
  if (typeof node !== 'object' || node === null) throw new Error(`no object: ${operation.path}`)
  const [token = '', ...rest] = tokens
  const { op, path, value } = operation
  const members = new Map<string, unknown>(Object.entries(node))
  const isTarget = rest.length === 0
  if (!members.has(token) && !(isTarget && op === 'add')) throw new Error(`not there: ${path}`)
  if (!isTarget) members.set(token, change(members.get(token), rest, operation))
  else if (op === 'remove') members.delete(token)
  else members.set(token, value)
  return Object.fromEntries(members)
}

function changeList(
  list: readonly unknown[],
  [token = '', ...rest]: readonly string[],
  operation: Operation,
): unknown[] {
  const { op, path, value } = operation
  const adds = rest.length === 0 && op === 'add'
  const index = adds && token === '-' ? list.length : Number(token)
  const isIndex = /^(?:0|[1-9][0-9]*|-)$/.test(token) && index < list.length + (adds ? 1 : 0)
  if (!isIndex) throw new Error(`no index: ${path}`)
  if (rest.length > 0) return list.with(index, change(list[index], rest, operation))
  if (op === 'replace') return list.with(index, value)
  return adds ? list.toSpliced(index, 0, value) : list.toSpliced(index, 1)
}

/** Returns the paths at which two documents differ: topmost ones that exist in one only or have another type, and leaves. */
export function differences(before: unknown, after: unknown, at: Path = []): Path[] {
  if (isTree(before) && isTree(after) && Array.isArray(before) === Array.isArray(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...keys].flatMap((key) => {
      const there = [...at, Array.isArray(before) ? Number(key) : key]
      if (!Object.hasOwn(before, key) || !Object.hasOwn(after, key)) return [there]
      return differences(Reflect.get(before, key), Reflect.get(after, key), there)
    })
  }
  return isDeepStrictEqual(before, after) ? [] : [at]
}

function isTree(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Parses numbers to their literal text, because `JSON.parse` rounds beyond 2^53. */
export function parseExactly(text: string): unknown {
  return parseWithSource(text, (_, value, { source }) =>
    typeof value === 'number' ? `number ${source}` : value,
  )
}

// The type library does not have the third argument of the reviver yet (ECMAScript, JSON.parse source text access).
const parseWithSource = JSON.parse as (
  text: string,
  reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown
