/** Prints `berth explain` for people: each image, what it becomes, and a line for each candidate. */
import { escapeLine } from '../../text/escape-terminal.ts'
import type { Io } from '../io.ts'
import { type Cell, formatColumns } from './columns.ts'
import { createPainter, type Painter, type Style } from './colour.ts'
import type { ExplainedImage, Explanation } from '../../explain/explanation.ts'

const outcomeStyles: Readonly<Record<string, Style>> = { found: 'green', unasked: 'dim' }

const revisionNote =
  'all pods of a revision get the same digest if the webhook may list pods (component same-digest)'

/** `denied` holds the images that a rule of the config denies. */
export function explanationTable(
  explanations: readonly Explanation[],
  denied: ReadonlySet<Explanation>,
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = createPainter(stdout, env)
  return explanations
    .map((each) =>
      'error' in each
        ? `${escapeLine(each.image)}\n  ${paint('red', escapeLine(each.error.message))}\n`
        : describe(each, denied.has(each), paint),
    )
    .join('\n')
}

function describe(explained: ExplainedImage, isDenied: boolean, paint: Painter): string {
  const { image, row, pinned, followsRevision, pullSecrets, warnings } = explained
  const secrets = pullSecrets.length === 0 ? '' : `, pull secrets ${pullSecrets.join(', ')}`
  return [
    `${paint('bold', escapeLine(image))}  →  ${result(explained, isDenied, paint)}`,
    escapeLine(`  row ${row ?? 'none'}${secrets}`),
    ...candidateLines(explained, paint),
    ...(followsRevision && pinned ? [`  ${paint('dim', revisionNote)}`] : []),
    ...warnings.map((warning) => `  ${paint('yellow', '!')} ${escapeLine(warning)}`),
    '',
  ].join('\n')
}

function result(
  { chosen, changed, left }: ExplainedImage,
  isDenied: boolean,
  paint: Painter,
): string {
  if (isDenied) return paint('red', 'denied')
  if (left) return paint('dim', 'left unchanged')
  return changed ? paint('green', escapeLine(chosen)) : paint('dim', 'unchanged')
}

function candidateLines({ candidates }: ExplainedImage, paint: Painter): string[] {
  const rows = candidates.map(({ image, outcome, detail, milliseconds, proxy }, index): Cell[] => [
    String(index + 1),
    image,
    { text: outcome, style: outcomeStyles[outcome] ?? 'yellow' },
    detail ?? '',
    proxy === null ? '' : { text: `proxy ${proxy}`, style: 'dim' },
    milliseconds === null ? '' : { text: `${milliseconds} ms`, style: 'dim' },
  ])
  return formatColumns(rows, paint).map((line) => `  ${line}`)
}
