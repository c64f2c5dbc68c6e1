/** Prints `berth report` for people: a line for each image, then a summary. */
import type { AtRiskReport } from '../../report/at-risk-report.ts'
import type { Report, ReportLine } from '../../report/cluster-report.ts'
import { type MirrorReport, reportStates } from '../../report/mirror-report.ts'
import type { UnprocessedReport } from '../../report/unprocessed-report.ts'
import type { Io } from '../io.ts'
import { formatTable } from './columns.ts'
import { createPainter } from './colour.ts'

const headings = ['namespace', 'image', 'pods', 'runs from', 'offline', 'new pod gets']

export function reportTable(
  { images, summary }: Report,
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = createPainter(stdout, env)
  const rows = images.map((line) => [
    line.namespace,
    line.image,
    String(line.pods),
    line.onMirror ? 'mirror' : 'upstream',
    offline(line),
    newImage(line),
  ])
  const counts = [
    `${summary.images} images`,
    `${summary.onMirror} run from a mirror`,
    `${summary.mirrored} could be pulled offline`,
    paint(summary.needInternet > 0 ? 'yellow' : 'dim', `${summary.needInternet} could not`),
    ...(summary.unknown > 0
      ? [paint('yellow', `${summary.unknown} unknown: a mirror does not answer`)]
      : []),
    `${summary.wouldChange} would change in a new pod`,
  ]
  return [formatTable(headings, rows, paint), '', counts.join(', ')].join('\n')
}

function offline({ mirrored }: ReportLine): string {
  if (mirrored === null) return 'unknown'
  return mirrored ? 'works' : 'fails'
}

function newImage({ becomes, runs, why }: ReportLine): string {
  if (becomes === null) return why
  return runs.every((each) => each === becomes) ? 'the same' : becomes
}

/** Returns a line for each image that the mirror lacks or has differently, and a summary of all. */
export function mirrorReportTable(
  { images, summary }: MirrorReport,
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = createPainter(stdout, env)
  const rows = images
    .filter(({ state }) => state !== 'mirrored')
    .map(({ state, image, from, pods, detail }) => [state, image, from, String(pods), detail ?? ''])
  const table = formatTable(['state', 'on the mirror', 'upstream', 'pods', 'problem'], rows, paint)
  const counts = reportStates.flatMap((state) =>
    summary[state] === 0 ? [] : [`${summary[state]} ${state}`],
  )
  const total = [`${summary.images} images belong on a mirror`, ...counts].join(', ')
  return rows.length === 0 ? total : [table, '', total].join('\n')
}

/** Returns a line for each image that would change in a new pod, and a summary of the pods. */
export function unprocessedReportTable(
  { images, summary }: UnprocessedReport,
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = createPainter(stdout, env)
  const rows = images.map(({ namespace, pod, image, becomes, obstacle }) => [
    namespace,
    pod,
    image,
    becomes,
    obstacle ?? 'possible',
  ])
  const counts = [
    `${summary.pods} pods that Berth has not processed`,
    `${summary.restartable} can be restarted`,
    ...(summary.unknown > 0
      ? [paint('yellow', `${summary.unknown} unknown: a registry does not answer`)]
      : []),
  ].join(', ')
  const table = formatTable(['namespace', 'pod', 'image', 'new pod gets', 'restart'], rows, paint)
  return rows.length === 0 ? counts : [table, '', counts].join('\n')
}

/** Returns a line for each image that is absent or unknown, a summary, and what one answer proves. */
export function atRiskReportTable(
  { images, summary }: AtRiskReport,
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = createPainter(stdout, env)
  const rows = images.map(({ state, image, source, pods, namespaces, detail }) => [
    state,
    image,
    source,
    String(pods),
    namespaces.join(', '),
    detail,
  ])
  const counts = [
    `${summary.images} running images`,
    `${summary.available} available`,
    paint(summary.absent > 0 ? 'yellow' : 'dim', `${summary.absent} absent`),
    `${summary.unknown} unknown`,
  ].join(', ')
  if (rows.length === 0) return counts
  const table = formatTable(['state', 'image', 'source', 'pods', 'namespaces', 'problem'], rows, paint) // prettier-ignore
  const note = 'absent is one 404 response, which does not prove that the image is gone: run this again later, or let the controller check (availability)' // prettier-ignore
  return [table, '', counts, ...(summary.absent > 0 ? [note] : [])].join('\n')
}
