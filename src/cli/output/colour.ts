/** Colour for terminals. */
import { styleText } from 'node:util'
import { escapeTerminal } from '../../text/escape-terminal.ts'
import type { Io } from '../io.ts'

const styles = ['bold', 'dim', 'green', 'red', 'yellow'] as const

export type Style = (typeof styles)[number]

/** Returns the text in a style, or as it is where colour is off. */
export type Painter = (style: Style, text: string) => string

/** Colours only if `stream` is a terminal and NO_COLOR is not set (https://no-color.org). */
export function createPainter(stream: { readonly isTTY?: boolean }, env: Io['env']): Painter {
  const isColoured = stream.isTTY === true && (env['NO_COLOR'] ?? '') === ''
  return (style, text) => (isColoured ? paint(style, text) : text)
}

/** Returns true if FORCE_COLOR asks for colour also in files and pipes, as in Node.js: with any text but `0` and `false`. */
export function forcesColour(env: Io['env']): boolean {
  return !['', '0', 'false'].includes(env['FORCE_COLOR'] ?? '')
}

export const noColour: Painter = (_, text) => text

function paint(style: Style, text: string): string {
  // styleText would otherwise look at the process's own stdout.
  return styleText(style, text, { validateStream: false })
}

/** The escape sequences that painters write: the start and the end of each style. */
const sequences: ReadonlySet<string> = new Set(
  styles.flatMap((style) => paint(style, ' ').split(' ')),
)

/** Returns lines of text escaped for terminals, with the colours of a painter. */
export function escapePainted(text: string): string {
  // Every second part looks like an escape sequence for a colour.
  return text
    .split(/(\p{Control}\[[0-9]+m)/u)
    .map((part) => (sequences.has(part) ? part : escapeTerminal(part, '\n\t')))
    .join('')
}
