/** Rows under headings, as kubectl prints them; the last column is as long as it is. */
export function table<Column extends string>(
  columns: readonly Column[],
  rows: readonly Readonly<Record<Column, string>>[],
): string {
  const lines = [
    columns.map((column) => column.toUpperCase()),
    ...rows.map((row) => columns.map((column) => (row[column] === '' ? '-' : row[column]))),
  ]
  const widths = columns.map((_, index) =>
    Math.max(...lines.map((line) => line[index]?.length ?? 0)),
  )
  return lines
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(index === columns.length - 1 ? 0 : (widths[index] ?? 0)))
        .join('   '),
    )
    .join('\n')
}
