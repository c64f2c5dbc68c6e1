/**
 * Splits the text of an event, a status or a log line into its errors. The kubelet joins the errors of several credentials
 * to `[e1, e2]`, CRI-O lists the error of every mirror, and each layer adds a prefix and a level of quotes. Pure.
 */

import { innermostError } from './innermost-error.ts'
import { withoutLineStart } from './line-start.ts'

/** One error of a message. */
export interface ErrorPart {
  /** For people: without prefixes of the runtime and the kubelet, and without secrets. */
  readonly text: string
  /** For rules: this error with the prefixes of the whole message. */
  readonly context: string
}

/**
 * Characters that are read. The API server limits an event's message to 1,024 bytes (ValidateEvent of Kubernetes), but a
 * status or a log line can be longer. The end is the most specific part, so a longer text is cut in the middle.
 */
const maxCharacters = 16_384

/** Levels of escaping to undo: a registry's JSON in a runtime's error in the kubelet's log line, in JSON again. */
const escapingLevels = 5

/** Returns the distinct errors, in order; at least one. */
export function splitErrors(message: string): ErrorPart[] {
  const text = unescapeAll(message)
  const artifact = /pull image err: (.*?); artifact err: /s.exec(text)
  const { prefix, errors } = splitList(artifact?.[1] ?? text)
  const context = `${artifact === null ? '' : text.slice(0, artifact.index)} ${prefix}`
  const seen = new Set<string>()
  return errors
    .map((error) => ({ text: innermostError(redact(error)), context: `${context}${error}` }))
    .filter(({ text: error }) => !seen.has(error) && seen.add(error) !== undefined)
}

/** Removes escapes, and puts the text on one line. */
function unescapeAll(message: string): string {
  let text =
    message.length > maxCharacters
      ? `${message.slice(0, maxCharacters / 2)} ${message.slice(-maxCharacters / 2)}`
      : message
  for (let level = 0; level < escapingLevels && /\\(?:["\\/nrt]|u[0-9a-f]{4})/i.test(text); level++)
    text = text.replace(/\\(?:(["\\/])|([nrt])|u([0-9a-f]{4}))/gi, unescape)
  const line = text
    .replace(/%2F/gi, '/')
    .replace(/%3A/gi, ':')
    .replace(/[\s│]+/g, ' ')
    .trim()
  return withoutLineStart(line)
}

function unescape(match: string, character?: string, space?: string, code?: string): string {
  if (character !== undefined) return character
  if (space !== undefined) return space === space.toLowerCase() ? ' ' : match
  return String.fromCodePoint(Number.parseInt(code ?? '20', 16))
}

interface SplitMessage {
  readonly prefix: string
  readonly errors: readonly string[]
}

function splitList(text: string): SplitMessage {
  const mirrors = text.indexOf('(Mirrors also failed: ')
  if (mirrors >= 0) return splitMirrorErrors(text, mirrors)
  const start = /(?:^|: ?"?)\[(?=[A-Za-z"])/.exec(text)
  if (start === null) return { prefix: '', errors: [text] }
  const open = start.index + start[0].length - 1
  const close = closingBracket(text, open)
  const errors = text.slice(open + 1, close).split(nextError)
  return errors.length < 2
    ? { prefix: '', errors: [text] }
    : { prefix: text.slice(0, open), errors }
}

/** Separates the errors of the kubelet's list. A comma alone is not enough: messages of registries contain commas. */
const nextError =
  /, (?=rpc error: |failed to |Error response|error |initializing |unable to |reading |copying |Get "?https?:|Head "?https?:|pull access denied|unauthorized|denied|toomanyrequests|manifest |writing |dial |x509|pinging |no |short)/i

/** CRI-O: `(Mirrors also failed: [A: e1] [B: e2]): C: e3`. */
function splitMirrorErrors(text: string, start: number): SplitMessage {
  const errors: string[] = []
  let at = text.indexOf('[', start)
  while (at >= 0 && /[\s:]/.test(text[at - 1] ?? '')) {
    const end = closingBracket(text, at)
    errors.push(text.slice(at + 1, end))
    if (text[end + 1] !== ' ' || text[end + 2] !== '[') {
      at = end
      break
    }
    at = end + 2
  }
  const rest = text.slice(Math.max(at, start)).replace(/^\]?\)?:? ?/, '')
  return { prefix: text.slice(0, start), errors: rest === '' ? errors : [...errors, rest] }
}

/** Returns the index of the bracket that closes the one at `open`, or the end of the text. */
function closingBracket(text: string, open: number): number {
  let depth = 0
  for (let at = open; at < text.length; at++) {
    if (text[at] === '[') depth++
    if (text[at] === ']' && --depth === 0) return at
  }
  return text.length
}

/** Removes credentials: user information and queries of URLs (signed blobs), headers, and passwords. */
function redact(text: string): string {
  return text
    .replace(/(https?:\/\/)[^\s/"'@]+@/gi, '$1')
    .replace(/(https?:\/\/[^\s"'?]+)\?[^\s"'<>]*?(?=[:,.)\]]*(?:[\s"'<>]|$))/gi, '$1?…')
    .replace(/\b(Basic|Bearer) [\w+/=.~-]{8,}/g, '$1 …')
    .replace(/\b(password|passwd|token|secret)=[^\s&"',]+/gi, '$1=…')
}
