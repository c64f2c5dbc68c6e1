/** Limits the nesting of JSON text, and estimates the memory of its values, before it is parsed. */
import type { JsonObject } from './json.ts'

export interface JsonMemoryLimits {
  /** Levels of arrays and objects. */
  readonly depth: number
  /** Estimated bytes of all values. */
  readonly parsedBytes: number
}

export type JsonSize =
  | { readonly ok: true; readonly parsedBytes: number }
  | { readonly ok: false; readonly problem: 'too-deep' | 'too-large' }

/**
 * Bytes in V8 without pointer compression, as Node.js is built. The first object with certain keys in a certain order needs a
 * hidden class or is a dictionary, with a place for each key. Other objects with the same keys share it, and the keys.
 */
const objectBytes = 88
const arrayBytes = 64
const newMemberBytes = 144
const sharedMemberBytes = 8
/** V8 stores larger objects as dictionaries, which share no keys. */
const maxSharedMembers = 128
/** A key that is an index, such as `"35"`, is a place in an array, which has places for the numbers before it too. */
const indexMemberBytes = 288
const maxIndexLength = 10
const elementBytes = 24
const stringBytes = 32

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const zero = 0x30
const nine = 0x39
const colon = 0x3a
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/** Differs in each process, so that no one can prepare keys that look the same. */
const seed = Math.trunc(Math.random() * 2 ** 32)

/** The arrays and objects that are open at a position of the text. */
interface OpenValues {
  depth: number
  /** A hash of the keys of each object so far. */
  readonly hashes: number[]
  /** The number of keys of each object so far; -1 for an array. */
  readonly members: number[]
  /** Hashes of all keys of the objects before. */
  readonly shapes: Set<number>
}

/**
 * Returns the estimated memory of the values of a JSON text, or which limit it exceeds. Reads each byte at most twice, until
 * a limit is exceeded. For text that is not JSON, the result has no meaning.
 */
export function measureJson(text: Uint8Array, limits: JsonMemoryLimits): JsonSize {
  const { length } = text
  const open: OpenValues = { depth: 0, hashes: [seed], members: [-1], shapes: new Set() }
  let size = length
  let start = 0
  let end = 0
  for (let index = 0; index < length; index++) {
    const byte = text[index] as number
    if (byte === quote) {
      start = index + 1
      end = endOfString(text, start)
      size += stringBytes
      index = end
    } else if (byte === colon) {
      const { depth, hashes, members } = open
      hashes[depth] = hash(text, start, end, hashes[depth] as number)
      members[depth] = (members[depth] as number) + 1
      // A key is counted with its object.
      size -= stringBytes
      if (isIndex(text, start, end)) size += indexMemberBytes
    } else if (byte === comma) {
      if (open.members[open.depth] === -1) size += elementBytes
    } else if (byte === openBrace || byte === openBracket) {
      size += begin(open, byte === openBrace)
      if (open.depth > limits.depth) return { ok: false, problem: 'too-deep' }
    } else if (byte === closeBrace || byte === closeBracket) size += close(open)
    if (size > limits.parsedBytes) return { ok: false, problem: 'too-large' }
  }
  return { ok: true, parsedBytes: size }
}

/** Returns the bytes of a new object or array, without its members. */
function begin(open: OpenValues, isObject: boolean): number {
  open.depth++
  open.hashes[open.depth] = seed
  open.members[open.depth] = isObject ? 0 : -1
  return isObject ? objectBytes : arrayBytes
}

/** Returns the bytes of the members of an object that is complete; none for an array. */
function close(open: OpenValues): number {
  const { depth, hashes, members, shapes } = open
  if (depth === 0) return 0
  open.depth--
  const count = members[depth] as number
  if (count <= 0) return 0
  const shape = hashes[depth] as number
  const isShared = count <= maxSharedMembers && shapes.has(shape)
  shapes.add(shape)
  return count * (isShared ? sharedMemberBytes : newMemberBytes)
}

/** Returns the index of the closing quote; the length of the text if there is none. */
function endOfString(text: Uint8Array, start: number): number {
  const { length } = text
  let index = start
  while (index < length && text[index] !== quote) index += text[index] === backslash ? 2 : 1
  return Math.min(index, length)
}

function isIndex(text: Uint8Array, start: number, end: number): boolean {
  const first = text[start] as number
  return first >= zero && first <= nine && end - start <= maxIndexLength
}

/** FNV-1a, continued from `state`. */
function hash(text: Uint8Array, start: number, end: number, state: number): number {
  let result = state
  for (let index = start; index < end; index++)
    result = Math.imul(result ^ (text[index] as number), 0x01000193)
  return Math.imul(result ^ quote, 0x01000193)
}

/** Returns the estimated memory of a parsed value whose objects share their shapes. */
export function measureValue(value: unknown): number {
  let size = 0
  const waiting: unknown[] = [value]
  while (waiting.length > 0) {
    const next = waiting.pop()
    if (typeof next === 'string') size += stringBytes + charBytes(next)
    else if (Array.isArray(next)) {
      size += arrayBytes + next.length * elementBytes
      for (const element of next) waiting.push(element)
    } else if (typeof next === 'object' && next !== null) {
      const keys = Object.keys(next)
      size += objectBytes + keys.length * elementBytes + keyBytes(keys)
      for (const key of keys) waiting.push((next as JsonObject)[key])
    }
  }
  return size
}

/** The fields of a pod that decisions read share their names. Other keys are those of annotations and labels. */
const maxFields = 8
const maxFieldLength = 'ephemeralContainers'.length

function keyBytes(keys: readonly string[]): number {
  let bytes = 0
  for (const key of keys) {
    const isShared = keys.length <= maxFields && key.length <= maxFieldLength
    if (!isShared) bytes += stringBytes + charBytes(key)
  }
  return bytes
}

/** V8 takes two bytes for each character of a string with a character that is not Latin-1. */
function charBytes(text: string): number {
  return /[^\0-\xff]/.test(text) ? 2 * text.length : text.length
}
