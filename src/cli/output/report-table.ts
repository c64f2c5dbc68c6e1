/** `report` for people: a line for each image, then what it comes to. */
import { painter } from './explanation-table.ts'
import type { Io } from '../io.ts'
import type { Report, ReportLine } from '../commands/report.ts'

const headings = ['NAMESPACE', 'IMAGE', 'PODS', 'RUNS FROM', 'WITHOUT INTERNET', 'A NEW POD GETS']

export function reportTable({ images, summary }: Report, io: Pick<Io, 'stdout' | 'env'>): string {
  const paint = painter(io)
  const rows = images.map((line) => [
    line.namespace,
    line.image,
    String(line.pods),
    line.onMirror ? 'mirror' : 'upstream',
    withoutInternet(line),
    becomes(line),
  ])
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const format = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  const counts = [
    `${summary.images} images`,
    `${summary.onMirror} run from a mirror`,
    `${summary.mirrored} would come without the internet`,
    paint(summary.needInternet > 0 ? 'yellow' : 'dim', `${summary.needInternet} would not`),
    ...(summary.unknown > 0
      ? [paint('yellow', `${summary.unknown} unknown: a mirror does not answer`)]
      : []),
    `${summary.wouldChange} would change in a new pod`,
  ]
  return [paint('bold', format(headings)), ...rows.map(format), '', counts.join(', ')].join('\n')
}

function withoutInternet({ mirrored }: ReportLine): string {
  if (mirrored === null) return 'unknown'
  return mirrored ? 'comes' : 'breaks'
}

function becomes({ becomes: image, runs, why }: ReportLine): string {
  if (image === null) return why
  return runs.every((each) => each === image) ? 'the same' : image
}
