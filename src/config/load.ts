/** Loads a config file: from its text to a frozen Config, or to all problems with line and column. */
import { dirname } from 'node:path'
import { lintTable } from '../decision/fallback/lint.ts'
import type { FallbackTable } from '../decision/fallback/table.ts'
import { BerthError } from '../errors.ts'
import { describeFileError } from '../files/describe-file-error.ts'
import { readLimitedFile, TooLargeError } from '../files/read-limited.ts'
import { configLimits } from '../yaml/limits.ts'
import { type CompiledConfig, compileConfig } from './compile-config.ts'
import type { Config } from './config.ts'
import { readRows, warnAboutMissingPorts } from './fallback-rows.ts'
import { readLockFile } from './lock-file.ts'
import { type ConfigProblem, formatProblem, type ReportProblem } from './problem.ts'
import { createProblemList } from './problem-list.ts'
import { plainHttpHosts, readRegistries } from './registries.ts'
import type { ConfigInput } from './schema.ts'
import { checkShape } from './shape-problems.ts'
import { checkVerifyFiles } from './verify-files.ts'
import { parseYamlDocument } from './yaml-document.ts'

export type ReadResult =
  { readonly ok: true; readonly config: Config } | ({ readonly ok: false } & InvalidConfig)

/** A config, and the values that it was compiled from. */
export interface ValidConfig {
  readonly config: Config
  readonly input: ConfigInput
}

interface InvalidConfig {
  readonly problems: readonly ConfigProblem[]
}

/** Loads a config file. Throws `config-unreadable`, or `config-invalid` with one line for each problem. */
export function loadConfig(file: string): Config {
  return loadValidConfig(file).config
}

/** As `loadConfig`. */
export function loadValidConfig(file: string): ValidConfig {
  const result = readValidConfig(readConfigFile(file), dirname(file))
  if ('config' in result) return result
  const lines = result.problems.map((problem) => formatProblem(file, problem))
  throw new BerthError('config-invalid', `${file} has errors\n${lines.join('\n')}`)
}

/** Returns the text of a config file. Throws `config-unreadable`, or `config-invalid` if it is too large. */
export function readConfigFile(file: string): string {
  try {
    return readLimitedFile(file, configLimits.length).toString('utf8')
  } catch (cause) {
    if (cause instanceof TooLargeError)
      throw new BerthError(
        'config-invalid',
        `${file} has more than ${cause.maxBytes} bytes, which is what a ConfigMap can hold; replace rows that differ only in the image by one row with a pattern`,
        { cause },
      )
    throw new BerthError(
      'config-unreadable',
      `cannot read the config file ${file}: ${describeFileError(cause)}; give its path with --config FILE`,
      { cause },
    )
  }
}

/** Returns the config that a text describes, or its problems. Relative paths in it start from `directory`. */
export function readConfig(text: string, directory: string): ReadResult {
  const result = readValidConfig(text, directory)
  return 'config' in result ? { ok: true, config: result.config } : { ok: false, ...result }
}

function readValidConfig(text: string, directory: string): ValidConfig | InvalidConfig {
  const document = parseYamlDocument(text)
  if (document.problems.length > 0) return { problems: document.problems }
  if (document.value === null || document.value === undefined) {
    const message = 'the file is empty; begin with apiVersion: berth.dev/v1alpha1'
    return { problems: [document.problemAt('error', [], message)] }
  }
  const problems = createProblemList(document)
  const shape = checkShape(document.value, text.length)
  if (!shape.ok) {
    for (const { path, message } of shape.problems) problems.report('error', path, message())
    return { problems: problems.list() }
  }
  const { input } = shape
  const compiled = check(input, directory, problems.report)
  if (problems.hasErrors()) return { problems: problems.list() }
  const tests = input.tests.map((test, index) => {
    const { line, column } = document.problemAt('warning', ['tests', index, 'image'], '')
    return { ...test, line, column }
  })
  const warnings = problems.list()
  return { config: Object.freeze({ ...compiled, tests, source: text, warnings }), input }
}

/** Compiles the config, and reports what is wrong with it. */
function check(input: ConfigInput, directory: string, report: ReportProblem): CompiledConfig {
  const rows = readRows(input.fallback, report, plainHttpHosts(input.registries))
  const templates = rows.flatMap((row) => row.try)
  const registries = readRegistries(input.registries, templates, { directory, report })
  const lock = readLockFile(input.pin.lock, { directory, report })
  const compiled = compileConfig({ input, rows, registries, lock, directory, report })
  checkVerifyFiles(compiled.mirror.verify, report)
  reportTableFindings(compiled.table, registries.keys(), report)
  warnAboutMissingPorts(rows, registries.keys(), report)
  return compiled
}

function reportTableFindings(
  table: FallbackTable,
  hosts: Iterable<string>,
  report: ReportProblem,
): void {
  for (const { severity, row, key, index, message } of lintTable(table, hosts)) {
    const path = ['fallback', row, key]
    const isList = key === 'images' || key === 'try'
    report(severity, isList ? [...path, index] : path, message)
  }
}
