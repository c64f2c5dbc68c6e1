/** Prints what `berth check` found: for people, as JSON, and for code review on GitHub and elsewhere. */
import type { Config } from '../../config/config.ts'
import { type ConfigProblem, formatProblem, problemText } from '../../config/problem.ts'
import type { TestResult } from '../../config/config-tests.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { type Io, print } from '../io.ts'
import { packageVersion } from '../package-version.ts'
import { createPainter } from './colour.ts'
import { policyFindings, policyLines, policyRecord, type PolicyReport } from './policy-report.ts'
import { formatJson } from './format-json.ts'

export interface CheckReport {
  readonly file: string
  /** Null when the config has errors. */
  readonly config: Config | null
  readonly problems: readonly ConfigProblem[]
  readonly tests: readonly TestResult[]
  /** Whether each test is printed, and a config without tests is an error. */
  readonly requiresTests: boolean
  /** The older version of Berth that must accept the config. */
  readonly forVersion: string | undefined
  /** Null without `--policies`. */
  readonly policies: PolicyReport | null
}

/** Prints the summary to standard output, and every problem to standard error. */
export function printTableReport(report: CheckReport, io: Io): void {
  const { file, config, problems, tests, requiresTests } = report
  const warn = createPainter(io.stderr, io.env)
  const paint = createPainter(io.stdout, io.env)
  if (config === null) print(io.stderr, `berth: config-invalid: ${file} has errors`)
  for (const problem of problems) {
    const colour = problem.severity === 'error' ? 'red' : 'yellow'
    const text = escapeLine(formatProblem(file, problem))
    print(
      io.stderr,
      text.replace(`: ${problem.severity}: `, (word) => warn(colour, word)),
    )
  }
  for (const { test, failure } of tests)
    if (failure !== null)
      print(
        io.stderr,
        `${placeOf(file, test)}: ${warn('red', 'test')} of ${escapeLine(`${test.image}: ${failure}`)}`,
      )
  if (config === null) return
  for (const { test, failure } of requiresTests ? tests : [])
    print(
      io.stdout,
      `${failure === null ? paint('green', 'ok    ') : paint('red', 'FAILED')}  ${escapeLine(`${test.image} → ${test.expect}`)}`,
    )
  if (report.policies !== null)
    for (const line of policyLines(report.policies)) print(io.stdout, line)
  const registries = config.registries.size
  print(
    io.stdout,
    `${file}: ${count(config.table.rows.length, 'row')}, ${registries === 1 ? '1 registry' : `${registries} registries`}, ${problemsText(problems)}, ${testsText(report)}${versionText(report)}`,
  )
}

/** Says that the older version accepts the config, so that the summary differs from one without `--for-version`. */
function versionText({ forVersion, problems }: CheckReport): string {
  const isAccepted =
    forVersion !== undefined && problems.every(({ severity }) => severity !== 'error')
  return isAccepted ? `, nothing that Berth ${forVersion} rejects` : ''
}

function problemsText(problems: CheckReport['problems']): string {
  const errors = problems.filter(({ severity }) => severity === 'error').length
  const warnings = count(problems.length - errors, 'warning')
  return errors === 0 ? warnings : `${count(errors, 'error')}, ${warnings}`
}

/**
 * Returns the summary of a valid config, or the problems of an invalid one. A valid config has errors only for an older
 * version. The names are a contract.
 */
export function checkRecord(report: CheckReport): object {
  const { file, config, problems, tests, forVersion, policies } = report
  const [errors, warnings] = (['error', 'warning'] as const).map((severity) =>
    problems.filter((problem) => problem.severity === severity),
  )
  if (config === null) return { file, errors, warnings }
  return {
    file,
    rows: config.table.rows.length,
    registries: [...config.registries.keys()],
    ...(forVersion === undefined ? {} : { errors }),
    warnings,
    tests: tests.length,
    failures: tests.flatMap(({ index, test, failure }) =>
      failure === null ? [] : [{ test: index, image: test.image, message: failure }],
    ),
    ...(policies === null ? {} : { policies: policyRecord(policies) }),
  }
}

/** Returns workflow commands of GitHub Actions, which become annotations at their lines. */
export function githubReport(report: CheckReport): string[] {
  return findingsOf(report).map(({ level, rule, file, line, column, message }) => {
    const place = [
      `file=${property(file)}`,
      ...(line === null ? [] : [`line=${line}`, `col=${column}`]),
    ]
    return `::${level} ${place.join(',')},title=${property(`berth ${rule}`)}::${data(message)}`
  })
}

/** Returns SARIF 2.1.0 for code scanning. */
export function sarifReport(report: CheckReport): string {
  const results = findingsOf(report).map(({ level, rule, file, line, column, message }) => ({
    ruleId: rule,
    level,
    message: { text: message },
    locations: [
      {
        physicalLocation: {
          // Code scanning resolves a relative reference against the root of the repository.
          artifactLocation: { uri: encodeURI(file.replace(/^\.\//, '')) },
          ...(line === null ? {} : { region: { startLine: line, startColumn: column ?? 1 } }),
        },
      },
    ],
  }))
  const rules = Object.entries(descriptions).map(([id, text]) => ({
    id,
    shortDescription: { text },
  }))
  return formatJson({
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver: { name: 'berth', version: packageVersion(), rules } }, results }],
  })
}

const descriptions = {
  'config-error': 'The config cannot be used',
  'config-warning': 'The config can be used, but may not do what is meant',
  'config-test': 'A test of the config fails',
  'policy-gap': 'A policy treats an image differently under its new name',
} as const

interface SarifFinding {
  readonly level: 'error' | 'warning'
  readonly rule: keyof typeof descriptions
  readonly file: string
  readonly line: number | null
  readonly column: number | null
  readonly message: string
}

function findingsOf({
  file,
  problems,
  tests,
  requiresTests,
  policies,
}: CheckReport): SarifFinding[] {
  const wrong = problems.map((problem): SarifFinding => ({
    level: problem.severity,
    rule: `config-${problem.severity}`,
    file,
    line: problem.line,
    column: problem.column,
    message: problemText(problem),
  }))
  const failed = tests.flatMap(({ test, failure }): SarifFinding[] => {
    const { line, column, image } = test
    return failure === null
      ? []
      : [
          {
            level: 'error',
            rule: 'config-test',
            file,
            line,
            column,
            message: `test of ${image}: ${failure}`,
          },
        ]
  })
  const lacksTests =
    requiresTests && tests.length === 0 && !problems.some(({ severity }) => severity === 'error')
  const none: SarifFinding = {
    level: 'error',
    rule: 'config-test',
    file,
    line: null,
    column: null,
    message: 'the config has no tests',
  }
  const gaps = (policies === null ? [] : policyFindings(policies)).map((finding): SarifFinding => ({
    rule: 'policy-gap',
    column: 1,
    ...finding,
  }))
  return [...wrong, ...failed, ...(lacksTests ? [none] : []), ...gaps]
}

function placeOf(file: string, { line, column }: TestResult['test']): string {
  return line === null ? file : `${file}:${line}:${column}`
}

function testsText({ tests }: CheckReport): string {
  if (tests.length === 0) return 'no tests'
  return `${tests.filter(({ failure }) => failure === null).length} of ${tests.length} tests pass`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** Escapes characters that would end a workflow command (actions/toolkit, core/command.ts). */
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
