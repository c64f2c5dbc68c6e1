/** Makes characters visible that could move the cursor, recolour the terminal, or reorder the text that a person reads. */
import { cutText } from './cut-text.ts'

/**
 * Control characters (C0, DEL, C1), Unicode's bidirectional controls (UAX #9, "Trojan Source", CVE-2021-42574), and its
 * separators of lines and paragraphs. kubectl printed the first ones as they were until 1.26 (CVE-2021-25743).
 */
const unsafe = /[\p{Control}\p{Bidi_Control}\p{Line_Separator}\p{Paragraph_Separator}]/gu

/** The same without line breaks and tabs. Most log lines have no match, and are not copied. */
const unsafeInData =
  /[^\P{Control}\n\t]|[\p{Bidi_Control}\p{Line_Separator}\p{Paragraph_Separator}]/gu

/**
 * Returns `text` with each unsafe character written as `\x1b` or `\u202e`. Characters in `keep`, for example `\n\t`, stay
 * as they are.
 */
export function escapeTerminal(text: string, keep = ''): string {
  return text.replaceAll(unsafe, (character) =>
    keep.includes(character) ? character : escaped(character),
  )
}

/** Characters of one line. The longest image has 700; messages of Berth about a name are shorter than the rest. */
const maxLineLength = 2_048

/** Returns `text` as one line, escaped, and cut if it is very long: names and messages can have megabytes. */
export function escapeLine(text: string): string {
  return escapeTerminal(cutText(text, maxLineLength))
}

function escaped(character: string): string {
  const hex = hexOf(character)
  return hex.length > 2 ? `\\u${hex.padStart(4, '0')}` : `\\x${hex.padStart(2, '0')}`
}

/**
 * Returns JSON, or YAML whose unsafe characters are all in double quotes, with each unsafe character written as `\u202e`. The
 * value stays the same. Line breaks and tabs stay: JSON escapes those in its strings.
 */
export function escapeData(text: string): string {
  return text.replaceAll(unsafeInData, (character) => `\\u${hexOf(character).padStart(4, '0')}`)
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16)
}
