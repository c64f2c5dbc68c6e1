/**
 * Validates JSON that arrives in pieces, and reads members of its top level. Keeps nothing else, so its memory does not depend
 * on the document. `JSON.parse` needs up to 30 times the size of a document such as `[{},{},…]`.
 */

export type JsonScalar = string | number | boolean | null

/** Receives what the scanner reads. Deeper members are validated, but not reported. */
export interface JsonHandler {
  /** Receives each member of the document; undefined for an object, a list, and a text over 1 KiB. */
  readonly onMember?: (key: string, value: JsonScalar | undefined) => void
  /** Receives the key of each list that is a member of the document. */
  readonly onList?: (key: string) => void
  /** Receives each text in such a list. */
  readonly onText?: (key: string, text: string) => void
}

export interface JsonLimits {
  /** The most objects and lists inside each other. */
  readonly maxDepth: number
  /** The most values in the whole document. */
  readonly maxValues: number
}

export type JsonProblem = 'invalid' | 'too deep' | 'too many values'

/** What the next byte belongs to. */
type State =
  | 'value'
  /** After `[`. */
  | 'value or end'
  /** After `{`. */
  | 'key or end'
  | 'key'
  | 'colon'
  | 'comma or end'
  | 'string'
  /** After a backslash in a string. */
  | 'escape'
  /** The four digits after `\u`. */
  | 'hex'
  /** A number, `true`, `false` or `null`. */
  | 'word'

/** Longer texts and words are not reported. A tag has at most 128 characters, and a media type 255 (RFC 6838). */
const maxReportedBytes = 1_024

const wordPattern = /^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/

const tab = 0x09
const lineFeed = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const openList = 0x5b
const backslash = 0x5c
const closeList = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

const escapes: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'))
const hexDigits: ReadonlySet<number> = new Set(Buffer.from('0123456789abcdefABCDEF'))
const wordBytes: ReadonlySet<number> = new Set(Buffer.from('0123456789+-.eEtrufalsn'))

export class JsonScanner {
  readonly #limits: JsonLimits
  readonly #handler: JsonHandler
  /** One entry for each open object (true) or list (false). */
  readonly #open: boolean[] = []
  #state: State = 'value'
  #problem: JsonProblem | null = null
  #values = 0
  /** The key of the member of the document that is being read; null if it is too long. */
  #key: string | null = null
  #isKey = false
  /** The bytes of the current string or word, as Latin-1; null if they are not reported. */
  #text: string | null = null
  #hexLeft = 0
  /** True once the document has ended. */
  #isComplete = false
  /** True if the document is an object. */
  isObject = false

  constructor(limits: JsonLimits, handler: JsonHandler = {}) {
    this.#limits = limits
    this.#handler = handler
  }

  /** Returns the first problem so far; null without one. */
  get problem(): JsonProblem | null {
    return this.#problem
  }

  /** Reads the next piece. Ignores the rest after a problem. */
  write(piece: Buffer): void {
    let index = 0
    while (index < piece.length && this.#problem === null) {
      if (this.#state === 'string') index = this.#readString(piece, index)
      else if (this.#state === 'word') index = this.#readWord(piece, index)
      else this.#readByte(piece[index++] ?? 0)
    }
  }

  /** Ends the document. Returns its problem; null if it is valid. */
  end(): JsonProblem | null {
    if (this.#state === 'word') this.#endWord()
    if (!this.#isComplete) this.#problem ??= 'invalid'
    return this.#problem
  }

  #readByte(byte: number): void {
    if (this.#state === 'escape') this.#readEscape(byte)
    else if (this.#state === 'hex') this.#readHexDigit(byte)
    else if (byte === space || byte === lineFeed || byte === tab || byte === carriageReturn) return
    else if (this.#isComplete) this.#problem = 'invalid'
    else if (byte === closeObject || byte === closeList) this.#close(byte)
    else if (this.#state === 'comma or end') this.#readComma(byte)
    else if (this.#state === 'colon') this.#readColon(byte)
    else if (this.#state === 'key' || this.#state === 'key or end') this.#startKey(byte)
    else this.#startValue(byte)
  }

  #startValue(byte: number): void {
    this.#values += 1
    if (this.#values > this.#limits.maxValues) this.#problem = 'too many values'
    else if (byte === openObject || byte === openList) this.#openContainer(byte === openObject)
    else if (byte === quote) this.#startString(false)
    else if (wordBytes.has(byte)) {
      this.#state = 'word'
      this.#text = String.fromCharCode(byte)
    } else this.#problem = 'invalid'
  }

  #openContainer(isObject: boolean): void {
    if (this.#open.length === 0) this.isObject = isObject
    else this.#reportContainer(isObject)
    this.#open.push(isObject)
    this.#state = isObject ? 'key or end' : 'value or end'
    if (this.#open.length > this.#limits.maxDepth) this.#problem = 'too deep'
  }

  #close(byte: number): void {
    const isObject = byte === closeObject
    const isExpected =
      this.#state === 'comma or end' || this.#state === (isObject ? 'key or end' : 'value or end')
    if (!isExpected || this.#open.pop() !== isObject) this.#problem = 'invalid'
    else this.#endValue()
  }

  #endValue(): void {
    this.#state = 'comma or end'
    this.#isComplete = this.#open.length === 0
  }

  #readComma(byte: number): void {
    if (byte !== comma) this.#problem = 'invalid'
    this.#state = this.#open.at(-1) === true ? 'key' : 'value'
  }

  #readColon(byte: number): void {
    if (byte !== colon) this.#problem = 'invalid'
    this.#state = 'value'
  }

  #startKey(byte: number): void {
    if (byte === quote) this.#startString(true)
    else this.#problem = 'invalid'
  }

  #startString(isKey: boolean): void {
    this.#isKey = isKey
    const depth = this.#open.length
    const isMember = this.isObject && depth === 1
    const isItem = this.isObject && depth === 2 && this.#open[1] === false && this.#key !== null
    this.#text = isMember || isItem ? '' : null
    this.#state = 'string'
  }

  /** Reads a string up to its end, an escape or the end of the piece. Returns the index after that. */
  #readString(piece: Buffer, start: number): number {
    let index = start
    let byte = piece[index] ?? 0
    while (index < piece.length && byte !== quote && byte !== backslash && byte >= space) {
      index += 1
      byte = piece[index] ?? 0
    }
    this.#append(piece, start, index)
    if (index === piece.length) return index
    if (byte === quote) this.#endString()
    else if (byte === backslash) {
      this.#append(piece, index, index + 1)
      this.#state = 'escape'
    } else this.#problem = 'invalid'
    return index + 1
  }

  #append(piece: Buffer, start: number, end: number): void {
    if (this.#text === null) return
    const isTooLong = this.#text.length + end - start > maxReportedBytes
    this.#text = isTooLong ? null : this.#text + piece.toString('latin1', start, end)
  }

  #readEscape(byte: number): void {
    const isUnicode = byte === 0x75
    if (!isUnicode && !escapes.has(byte)) this.#problem = 'invalid'
    if (this.#text !== null) this.#text += String.fromCharCode(byte)
    this.#hexLeft = 4
    this.#state = isUnicode ? 'hex' : 'string'
  }

  #readHexDigit(byte: number): void {
    if (!hexDigits.has(byte)) this.#problem = 'invalid'
    if (this.#text !== null) this.#text += String.fromCharCode(byte)
    this.#hexLeft -= 1
    if (this.#hexLeft === 0) this.#state = 'string'
  }

  #endString(): void {
    const text = this.#text === null ? null : decode(this.#text)
    if (this.#isKey) {
      if (this.#open.length === 1) this.#key = text
      this.#state = 'colon'
      return
    }
    if (this.#open.length === 1) this.#report(text ?? undefined)
    else if (text !== null && this.#key !== null) this.#handler.onText?.(this.#key, text)
    this.#endValue()
  }

  #report(value: JsonScalar | undefined): void {
    const isMember = this.isObject && this.#open.length === 1
    if (isMember && this.#key !== null) this.#handler.onMember?.(this.#key, value)
  }

  #reportContainer(isObject: boolean): void {
    this.#report(undefined)
    const isMember = this.isObject && this.#open.length === 1
    if (isMember && !isObject && this.#key !== null) this.#handler.onList?.(this.#key)
  }

  /** Reads a word up to its end or the end of the piece. Returns the index after that. */
  #readWord(piece: Buffer, start: number): number {
    let index = start
    while (index < piece.length && wordBytes.has(piece[index] ?? 0)) index += 1
    this.#append(piece, start, index)
    if (index < piece.length) this.#endWord()
    return index
  }

  #endWord(): void {
    const word = this.#text
    if (word === null || !wordPattern.test(word)) this.#problem = 'invalid'
    else if (this.#open.length === 1) this.#report(JSON.parse(word) as JsonScalar)
    this.#endValue()
  }
}

/** Returns the problem of a complete document; null if it is valid. */
export function findJsonProblem(bytes: Buffer, limits: JsonLimits): JsonProblem | null {
  const scanner = new JsonScanner(limits)
  scanner.write(bytes)
  return scanner.end()
}

const plainText = /^[ !#-[\]-~]*$/

/** Returns the text of a string from the bytes between its quotes. */
function decode(content: string): string {
  if (plainText.test(content)) return content
  return JSON.parse(`"${Buffer.from(content, 'latin1').toString('utf8')}"`) as string
}
