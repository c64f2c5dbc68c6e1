/** Prints progress on standard error, and results as Markdown on standard output. */

/** Prints a Markdown table that is also aligned in a terminal. The first column is text, the others are numbers. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => pad(cells[column] ?? '', width, column)).join(' | ')} |`
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  )
  print([line(head), line(rule), ...rows.map(line), ''].join('\n'))
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function progress(text: string): void {
  process.stderr.write(`${text}\n`)
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}
