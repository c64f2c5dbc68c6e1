/** `diagnose` for people: what the message says, how sure that is, and what to do. */
import type { styleText } from 'node:util'
import type { Classification } from '../../diagnose/rules/classify.ts'
import type { PullFinding } from '../../diagnose/findings.ts'
import { painter } from './explanation-table.ts'
import type { Io } from '../io.ts'

export interface Diagnosis extends Classification {
  readonly message: string
}

const styles: Readonly<Record<string, Parameters<typeof styleText>[0]>> = {
  proved: 'green',
  likely: 'green',
  ambiguous: 'yellow',
  unknown: 'red',
}

export function diagnosisTable(
  diagnoses: readonly Diagnosis[],
  io: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = painter(io)
  return diagnoses
    .map(({ rule, errors }) =>
      [
        `${paint('bold', rule.cause)}  ${paint(styles[rule.certainty] ?? 'dim', rule.certainty)}  ${paint('dim', rule.id)}`,
        `  ${rule.means}`,
        `  fix   ${rule.fix}`,
        ...errors.map((leaf, index) => `  ${index === 0 ? 'says' : '    '}  ${leaf}`),
        '',
      ].join('\n'),
    )
    .join('\n')
}

/** What a cluster shows: a cause, how many pods have it, what shows it, and what to do. */
export function findingsTable(
  found: readonly PullFinding[],
  io: Pick<Io, 'stdout' | 'env'>,
): string {
  const paint = painter(io)
  if (found.length === 0) return 'every image that pods ask for comes\n'
  return found
    .map((finding) => {
      const { cause, certainty, rule, registry, failures } = finding
      const [first] = failures
      const count = failures.length === 1 ? '1 image' : `${failures.length} images`
      return [
        `${paint('bold', cause)}  ${paint(styles[certainty] ?? 'dim', certainty)}  ${paint('dim', rule)}  ${count}${registry === null ? '' : ` of ${registry}`}`,
        `  ${finding.means}`,
        ...finding.evidence
          .filter(({ from, vantage }) => from !== 'message' && vantage === undefined)
          .map(({ from, says }) => `  seen  ${from}: ${says}`),
        ...probedLines(finding.evidence),
        ...finding.missing.map((each) => `  ${paint('yellow', 'not seen')}  ${each}`),
        ...(first?.says ?? []).map((says) => `  says  ${says}`),
        `  fix   ${finding.fix}`,
        ...finding.commands.map((command) => `        ${command}`),
        ...finding.berth.map((line) => `  berth ${line}`),
        ...failures.map(({ namespace, pod, container, image }) =>
          `  ${paint('dim', 'pod')}   ${namespace}/${pod}${container === '' ? '' : ` ${container}`}  ${image}`.trimEnd(),
        ),
        '',
      ].join('\n')
    })
    .join('\n')
}

/** What was asked of registries, under where it was asked from. */
function probedLines(evidence: PullFinding['evidence']): string[] {
  const vantages = [...new Set(evidence.flatMap(({ vantage }) => vantage ?? []))]
  return vantages.flatMap((vantage) => [
    `  asked from ${vantage}:`,
    ...evidence.filter((each) => each.vantage === vantage).map(({ says }) => `        ${says}`),
  ])
}
