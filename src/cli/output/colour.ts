/** Colour for terminals. */
import { styleText } from 'node:util'
import type { Io } from '../io.ts'

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow'

/** Returns the text in a style, or as it is where colour is off. */
export type Painter = (style: Style, text: string) => string

/** Colours only if `stream` is a terminal and NO_COLOR is not set (https://no-color.org). */
export function createPainter(stream: { readonly isTTY?: boolean }, env: Io['env']): Painter {
  const isColoured = stream.isTTY === true && (env['NO_COLOR'] ?? '') === ''
  // styleText would otherwise look at the process's own stdout.
  return (style, text) => (isColoured ? styleText(style, text, { validateStream: false }) : text)
}

export const noColour: Painter = (_, text) => text
