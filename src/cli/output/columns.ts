/** Prints rows in columns, as kubectl does. Every table of the command line goes through here. */
import { escapeLine } from '../../text/escape-terminal.ts'
import { noColour, type Painter, type Style } from './colour.ts'

/** A cell's text, with a style for terminals if wanted. */
export type Cell = string | { readonly text: string; readonly style: Style }

/** Between columns. */
const gap = '  '

/** Returns one line for each row, escaped for terminals, without trailing spaces. Columns without any text are left out. */
export function formatColumns(
  rows: readonly (readonly Cell[])[],
  paint: Painter = noColour,
): string[] {
  const escaped = rows.map((row) =>
    row.map((cell) =>
      typeof cell === 'string'
        ? { text: escapeLine(cell), style: null }
        : { text: escapeLine(cell.text), style: cell.style },
    ),
  )
  const widths: number[] = []
  for (const row of escaped)
    for (const [column, { text }] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, text.length)
  return escaped.map((row) => {
    const last = row.findLastIndex(({ text }) => text !== '')
    return row
      .slice(0, last + 1)
      .flatMap(({ text, style }, column) => {
        const width = widths[column] ?? 0
        if (width === 0) return []
        const shown = style === null || text === '' ? text : paint(style, text)
        return [column === last ? shown : shown + ' '.repeat(width - text.length)]
      })
      .join(gap)
  })
}

/** Returns a table under headings in upper case; empty cells are shown as `-`. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  paint: Painter = noColour,
): string {
  const heading = headings.map((text) => ({ text: text.toUpperCase(), style: 'bold' }) as const)
  const filled = rows.map((row) => row.map((cell) => (cell === '' ? '-' : cell)))
  return formatColumns([heading, ...filled], paint).join('\n')
}
