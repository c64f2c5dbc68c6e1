/** What `berth check` found, for people, for programs, and for the places where code is reviewed. */
import { createRequire } from 'node:module'
import type { Config } from '../../config/config.ts'
import { type ConfigProblem, formatProblem, problemText } from '../../config/problem.ts'
import type { TestResult } from '../../config/config-tests.ts'
import { painter } from './explanation-table.ts'
import { type Io, print } from '../io.ts'

export interface CheckReport {
  readonly file: string
  /** Null when the config has errors. */
  readonly config: Config | null
  readonly problems: readonly ConfigProblem[]
  readonly tests: readonly TestResult[]
  /** Whether each test is to be shown, and there have to be some. */
  readonly isTested: boolean
}

/** The summary on standard output, everything that is wrong on standard error. */
export function tableReport(report: CheckReport, io: Io): void {
  const { file, config, problems, tests, isTested } = report
  const warn = painter({ stdout: io.stderr, env: io.env })
  const paint = painter(io)
  if (config === null) print(io.stderr, `berth: config-invalid: ${file} has errors`)
  for (const problem of problems) {
    const colour = problem.severity === 'error' ? 'red' : 'yellow'
    const text = formatProblem(file, problem)
    print(
      io.stderr,
      text.replace(`: ${problem.severity}: `, (word) => warn(colour, word)),
    )
  }
  for (const { test, failure } of tests)
    if (failure !== null)
      print(
        io.stderr,
        `${placeOf(file, test)}: ${warn('red', 'test')} of ${test.image}: ${failure}`,
      )
  if (config === null) return
  for (const { test, failure } of isTested ? tests : [])
    print(
      io.stdout,
      `${failure === null ? paint('green', 'ok    ') : paint('red', 'FAILED')}  ${test.image} → ${test.expect}`,
    )
  const registries = config.registries.size
  print(
    io.stdout,
    `${file}: ${count(config.table.rows.length, 'row')}, ${registries === 1 ? '1 registry' : `${registries} registries`}, ${count(problems.length, 'warning')}, ${testsText(report)}`,
  )
}

/** The contract of `-o json`: the summary of a valid config, or the problems of one that is not. */
export function jsonReport({ file, config, problems, tests }: CheckReport): string {
  const [errors, warnings] = (['error', 'warning'] as const).map((severity) =>
    problems.filter((problem) => problem.severity === severity),
  )
  const value =
    config === null
      ? { file, errors, warnings }
      : {
          file,
          rows: config.table.rows.length,
          registries: [...config.registries.keys()],
          warnings,
          tests: tests.length,
          failures: tests.flatMap(({ index, test, failure }) =>
            failure === null ? [] : [{ test: index, image: test.image, message: failure }],
          ),
        }
  return JSON.stringify(value, null, 2)
}

/** Workflow commands of GitHub Actions: each becomes an annotation beside its line. */
export function githubReport(report: CheckReport): string[] {
  return findingsOf(report).map(({ level, rule, line, column, message }) => {
    const place = [
      `file=${property(report.file)}`,
      ...(line === null ? [] : [`line=${line}`, `col=${column}`]),
    ]
    return `::${level} ${place.join(',')},title=${property(`berth ${rule}`)}::${data(message)}`
  })
}

/** SARIF 2.1.0, as code scanning reads it. */
export function sarifReport(report: CheckReport): string {
  const { version } = createRequire(import.meta.url)('../../../package.json') as {
    readonly version: string
  }
  const results = findingsOf(report).map(({ level, rule, line, column, message }) => ({
    ruleId: rule,
    level,
    message: { text: message },
    locations: [
      {
        physicalLocation: {
          // A relative reference is resolved against the root of the repository.
          artifactLocation: { uri: encodeURI(report.file.replace(/^\.\//, '')) },
          ...(line === null ? {} : { region: { startLine: line, startColumn: column ?? 1 } }),
        },
      },
    ],
  }))
  const rules = Object.entries(descriptions).map(([id, text]) => ({
    id,
    shortDescription: { text },
  }))
  return JSON.stringify(
    {
      $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
      version: '2.1.0',
      runs: [{ tool: { driver: { name: 'berth', version, rules } }, results }],
    },
    null,
    2,
  )
}

const descriptions = {
  'config-error': 'The config cannot be used',
  'config-warning': 'The config can be used, and does perhaps not what is meant',
  'config-test': 'A test of the config fails',
} as const

interface SarifFinding {
  readonly level: 'error' | 'warning'
  readonly rule: keyof typeof descriptions
  readonly line: number | null
  readonly column: number | null
  readonly message: string
}

function findingsOf({ problems, tests, isTested }: CheckReport): SarifFinding[] {
  const wrong = problems.map((problem): SarifFinding => ({
    level: problem.severity,
    rule: `config-${problem.severity}`,
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
            line,
            column,
            message: `test of ${image}: ${failure}`,
          },
        ]
  })
  const isUntested =
    isTested && tests.length === 0 && !problems.some(({ severity }) => severity === 'error')
  const none: SarifFinding = {
    level: 'error',
    rule: 'config-test',
    line: null,
    column: null,
    message: 'the config has no tests',
  }
  return [...wrong, ...failed, ...(isUntested ? [none] : [])]
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

/** How a workflow command writes what would end it (actions/toolkit, core/command.ts). */
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
