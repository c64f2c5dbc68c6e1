/** Prints `berth diagnose` for people: cause, certainty, and what to do. */
import type { Classification } from '../../diagnose/rules/classify.ts'
import type { PullFinding } from '../../diagnose/findings.ts'
import type { Cause } from '../../diagnose/rules/table.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import type { Io } from '../io.ts'
import { createPainter, type Painter, type Style } from './colour.ts'

export interface Diagnosis extends Classification {
  readonly message: string
}

const styles: Readonly<Record<string, Style>> = {
  proved: 'green',
  likely: 'green',
  ambiguous: 'yellow',
  unknown: 'red',
}

/** Returns what each error message means. Of several, the ones without a cause are only counted. */
export function diagnosisTable(
  diagnoses: readonly Diagnosis[],
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = createPainter(stdout, env)
  const isOther = ({ rule }: Diagnosis) => Object.hasOwn(otherLines, rule.cause)
  const shown = diagnoses.length === 1 ? diagnoses : diagnoses.filter((each) => !isOther(each))
  const counts = Object.entries(otherLines).flatMap(([cause, text]) => {
    const count = diagnoses.filter(({ rule }) => rule.cause === cause).length
    return diagnoses.length === 1 || count === 0 ? [] : [`${text}: ${count}\n`]
  })
  const blocks = shown.map(({ rule, fix, errors }) =>
    [
      title({ cause: rule.cause, certainty: rule.certainty, rule: rule.id }, paint),
      `  ${rule.means}`,
      `  fix   ${fix}`,
      ...errors.map((each, index) => `  ${index === 0 ? 'says' : '    '}  ${escapeLine(each)}`),
      '',
    ].join('\n'),
  )
  return [...blocks, ...(counts.length === 0 ? [] : [counts.join('')])].join('\n')
}

/** Causes of lines that have no cause of a failed pull. */
const otherLines: Readonly<Partial<Record<Cause, string>>> = {
  'repeated-line': 'lines that repeat a failure',
  'no-pull-failure': 'lines that report no failed pull',
}

/** Returns each cause in a cluster, with the evidence, the fix, and the pods that it affects. */
export function findingsTable(
  found: readonly PullFinding[],
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = createPainter(stdout, env)
  if (found.length === 0) return 'no image pull failures found\n'
  return found.map((finding) => findingLines(finding, paint).join('\n')).join('\n')
}

function findingLines(finding: PullFinding, paint: Painter): string[] {
  const { registry, failures, evidence } = finding
  const count = failures.length === 1 ? '1 image' : `${failures.length} images`
  const from = registry === null ? '' : ` of ${escapeLine(registry)}`
  const text = (line: string) => escapeLine(line)
  return [
    `${title(finding, paint)}  ${count}${from}`,
    text(`  ${finding.means}`),
    ...evidence
      .filter(({ from: source, vantage }) => source !== 'message' && vantage === undefined)
      .map(({ from: source, says }) => text(`  seen  ${source}: ${says}`)),
    ...probedLines(evidence).map(text),
    ...finding.missing.map((each) => `  ${paint('yellow', 'not seen')}  ${text(each)}`),
    ...(failures[0]?.says ?? []).map((says) => text(`  says  ${says}`)),
    text(`  fix   ${finding.fix}`),
    ...finding.commands.map((command) => text(`        ${command}`)),
    ...finding.berth.map((line) => text(`  berth ${line}`)),
    ...failures.map(({ namespace, pod, container, image, field }) => {
      const volume = field?.startsWith('volumes/') === true ? `, ${field}` : ''
      const name = `${namespace}/${pod}${container === '' ? '' : ` ${container}`}${volume}`
      return `  ${paint('dim', 'pod')}   ${text(`${name}  ${image}`.trimEnd())}`
    }),
    '',
  ]
}

function title(
  { cause, certainty, rule }: Pick<PullFinding, 'cause' | 'certainty' | 'rule'>,
  paint: Painter,
): string {
  return `${paint('bold', cause)}  ${paint(styles[certainty] ?? 'dim', certainty)}  ${paint('dim', rule)}`
}

/** What registries answered, by the place that the requests came from. */
function probedLines(evidence: PullFinding['evidence']): string[] {
  const vantages = [...new Set(evidence.flatMap(({ vantage }) => vantage ?? []))]
  return vantages.flatMap((vantage) => [
    `  asked from ${vantage}:`,
    ...evidence.filter((each) => each.vantage === vantage).map(({ says }) => `        ${says}`),
  ])
}
