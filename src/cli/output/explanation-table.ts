/** `explain` for people: an image, what it becomes, and a line for each candidate. */
import { styleText } from 'node:util'
import type { Explanation, Explained } from './explanation.ts'
import type { Io } from '../io.ts'

type Style = Parameters<typeof styleText>[0]
type Paint = (style: Style, text: string) => string

const outcomeStyles: Readonly<Record<string, Style>> = { found: 'green', unasked: 'dim' }

/** Paints only on a terminal, and never under NO_COLOR. */
export function painter({ stdout, env }: Pick<Io, 'stdout' | 'env'>): Paint {
  const colour = stdout.isTTY === true && (env['NO_COLOR'] ?? '') === ''
  return (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text)
}

export function explanationTable(
  explanations: readonly Explanation[],
  refused: ReadonlySet<Explanation>,
  io: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = painter(io)
  return explanations
    .map((each) =>
      'error' in each
        ? `${each.image}\n  ${paint('red', each.error.message)}\n`
        : describe(each, refused.has(each), paint),
    )
    .join('\n')
}

function describe(explained: Explained, isRefused: boolean, paint: Paint): string {
  const { image, chosen, changed, row, candidates, pullSecrets, warnings } = explained
  const kept = changed ? paint('green', chosen) : paint('dim', 'stays as it is')
  const result = isRefused ? paint('red', 'refused') : kept
  const widths = {
    image: Math.max(0, ...candidates.map((each) => each.image.length)),
    outcome: Math.max(0, ...candidates.map((each) => each.outcome.length)),
  }
  const lines = candidates.map(({ image: name, outcome, detail, milliseconds }, index) => {
    const time = milliseconds === null ? '' : paint('dim', `${milliseconds} ms`)
    const word = paint(outcomeStyles[outcome] ?? 'yellow', outcome.padEnd(widths.outcome))
    return `  ${index + 1}  ${name.padEnd(widths.image)}  ${word}  ${[detail, time].filter(Boolean).join('  ')}`.trimEnd()
  })
  return [
    `${paint('bold', image)}  →  ${result}`,
    `  row ${row ?? 'none'}${pullSecrets.length === 0 ? '' : `, pull secrets ${pullSecrets.join(', ')}`}`,
    ...lines,
    ...warnings.map((warning) => `  ${paint('yellow', '!')} ${warning}`),
    '',
  ].join('\n')
}
