/**
 * Parses YAML of unknown origin. Limits bound the time and memory before they are spent; with them, both are linear in the
 * length of the text. The library alone needs minutes for 40,000 times `{`, and seconds for 20,000 keys of one map.
 */
import {
  type Alias,
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  Lexer,
  type Node,
  Parser,
} from 'yaml'
import { findAliasError } from './aliases.ts'
import type { YamlLimits } from './limits.ts'
import { forEachNode } from './nodes.ts'

export interface YamlError {
  readonly offset: number
  /** Does not repeat the text, which may have a credential there. */
  readonly message: string
}

export interface ParsedYaml {
  /** Empty if the text has no document, or is over a limit. */
  readonly documents: readonly Document[]
  /** In the order of the text, at most `maxErrors`. */
  readonly errors: readonly YamlError[]
  /** Returns the line and column of an offset in the text; the first ones are 1. */
  readonly positionAt: (offset: number) => { readonly line: number; readonly column: number }
}

/** Maps and lists inside each other. The deepest definitions of custom resources have about 70. */
const maxDepth = 200

/** A person fixes the first errors first. Each error costs as much memory as a line of text. */
export const maxErrors = 20

/** Documents of one text. `helm template` of a large chart makes some hundred. */
const maxDocuments = 10_000

/** Not allowed in YAML (section 5.1), except in the form of JSON, where only those below a space are not allowed (RFC 8259). */
const controls = { yaml: /[^\P{Cc}\t\n\r\u0085]/u, json: /[^\P{Cc}\t\n\r\u007F-\u009F]/u }

/** A part of a text. */
export interface TextPart {
  readonly start: number
  /** The offset after its last character. */
  readonly end: number
}

export interface ParseYamlOptions {
  /** Whether the key `<<` merges maps, as in kubectl. */
  readonly merge?: boolean
  /** The parts to parse, each with one or more whole documents; by default the whole text. Offsets are those in the text. */
  readonly parts?: readonly TextPart[]
}

/** Parses YAML 1.2. Never throws: errors are part of the result. */
export function parseYaml(
  text: string,
  limits: YamlLimits,
  { merge = false, parts = [{ start: 0, end: text.length }] }: ParseYamlOptions = {},
): ParsedYaml {
  const positionAt = createLocator(text)
  const errors: YamlError[] = []
  const report = (offset: number, message: string) => {
    // The library catches the first exception, and reports it as another error.
    if (errors.length < maxErrors) errors.push({ offset, message })
    if (errors.length === maxErrors) throw new LimitReached()
  }
  try {
    checkLength(text, limits, report)
    for (const part of parts) checkText(text, part, report)
    const documents = parseDocuments(text, limits, { merge, parts, report })
    for (const document of documents) checkDocument(document, text.length, { limits, report })
    return { documents, errors: errors.toSorted(byOffset), positionAt }
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error
    return { documents: [], errors: errors.toSorted(byOffset), positionAt }
  }
}

function byOffset(one: YamlError, other: YamlError): number {
  return one.offset - other.offset
}

/** Returns a function that returns the line and column of an offset. Lines end with a line feed, as for the library. */
export function createLocator(text: string): ParsedYaml['positionAt'] {
  let starts: number[] | null = null
  return (offset) => {
    starts ??= lineStarts(text)
    let [low, high] = [0, starts.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
  }
}

function lineStarts(text: string): number[] {
  const starts = [0]
  for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1))
    starts.push(end + 1)
  return starts
}

/** Reports an error at an offset. Throws LimitReached if there are too many. */
type ReportError = (offset: number, message: string) => void

/** Ends the parsing of a text whose errors are already reported. */
class LimitReached extends Error {}

/** Reports an error and throws LimitReached. */
function stop(report: ReportError, offset: number, message: string): never {
  report(offset, message)
  throw new LimitReached()
}

function checkLength(text: string, { length }: YamlLimits, report: ReportError): void {
  if (text.length > length)
    stop(report, 0, `the text has ${text.length} characters, more than the limit of ${length}`)
}

function checkText(text: string, { start, end }: TextPart, report: ReportError): void {
  const part = text.slice(start, end)
  const control = (/^\s*[{[]/.test(part) ? controls.json : controls.yaml).exec(part)
  if (control === null) return
  const code = control[0].charCodeAt(0).toString(16).padStart(4, '0')
  stop(
    report,
    start + control.index,
    `invalid YAML: the control character U+${code} is not allowed`,
  )
}

function parseDocuments(
  text: string,
  limits: YamlLimits,
  {
    merge,
    parts,
    report,
  }: {
    readonly merge: boolean
    readonly parts: readonly TextPart[]
    readonly report: ReportError
  },
): Document[] {
  // `uniqueKeys` compares each key with all others of its map. `checkKeys` compares in linear time.
  const composer = new Composer({
    merge,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'error',
  })
  // By default, it keeps an error with a stack trace for each character of `]]]]…`.
  Object.assign(composer as object, { onError: createErrorHandler(report) })
  const documents: Document[] = []
  const compose = (token: CST.Token) => {
    if (token.type === 'error')
      report(token.offset, `invalid YAML: ${withoutSource(token.message)}`)
    else for (const document of composer.next(token)) documents.push(document)
    if (documents.length > maxDocuments)
      stop(report, token.offset, `the text has more than ${maxDocuments} YAML documents; split it`)
  }
  let tokens = 0
  for (const { start, end } of parts) {
    const parser = new Parser()
    parser.offset = start
    for (const lexeme of new Lexer().lex(text.slice(start, end))) {
      const { offset } = parser
      tokens += 1
      if (tokens > limits.tokens)
        stop(
          report,
          offset,
          `the text has more than ${limits.tokens} words and punctuation marks; split it`,
        )
      for (const token of parser.next(lexeme)) compose(token)
      // The stack begins with the document.
      if (parser.stack.length > maxDepth + 1)
        stop(
          report,
          offset,
          `maps and lists are nested more than ${maxDepth} levels deep; flatten them`,
        )
    }
    for (const token of parser.end()) compose(token)
  }
  for (const document of composer.end()) documents.push(document)
  return documents
}

type ErrorSource = number | readonly [number, number] | { readonly offset: number }

/** Returns the composer's error handler. Warnings, such as unknown tags, change no value. */
function createErrorHandler(
  report: ReportError,
): (source: ErrorSource, code: string, message: string, isWarning?: boolean) => void {
  return (source, code, message, isWarning) => {
    if (isWarning === true) return
    const offset =
      typeof source === 'number' ? source : 'offset' in source ? source.offset : source[0]
    report(offset, `invalid YAML: ${namesOfCodes[code] ?? withoutSource(message)}`)
  }
}

/** Errors whose messages of the library contain words of the text. */
const namesOfCodes: Readonly<Record<string, string>> = {
  BAD_DIRECTIVE: 'Invalid directive',
  BAD_DQ_ESCAPE: 'Invalid escape sequence',
  TAG_RESOLVE_FAILED: 'Invalid tag',
}

/** The library appends unexpected words of the text after a colon. */
function withoutSource(message: string): string {
  return message.replace(/: .*/s, '').replace(/\.$/, '')
}

function checkDocument(
  document: Document,
  length: number,
  { limits, report }: { readonly limits: YamlLimits; readonly report: ReportError },
): void {
  const aliases: Alias[] = []
  forEachNode(document, (node) => {
    if (isMap(node)) checkKeys(node.items, report)
    else if (isAlias(node)) aliases.push(node)
  })
  const aliasLimits = { weight: limits.length - length, depth: maxDepth }
  const error = findAliasError(document, aliases, aliasLimits)
  if (error !== null) report(error.offset, error.message)
}

/** Reports each key that its map has already. */
function checkKeys(items: readonly unknown[], report: ReportError): void {
  const known = new Set<unknown>()
  for (const item of items) {
    const key = isPair(item) ? (item.key as Node | null) : null
    if (!isScalar(key)) continue
    if (known.has(key.value)) report(key.range?.[0] ?? 0, 'invalid YAML: Map keys must be unique')
    known.add(key.value)
  }
}
