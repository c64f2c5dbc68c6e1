/** `berth check`: is the config valid, and do its tests hold? */
import { dirname } from 'node:path'
import type { Config } from '../../config/config.ts'
import { readConfig, readConfigFile } from '../../config/load.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import { configFile, oneOf, readOptions } from '../options.ts'
import {
  type CheckReport,
  githubReport,
  jsonReport,
  sarifReport,
  tableReport,
} from '../output/check-report.ts'
import { runConfigTests } from '../../config/config-tests.ts'
import { type Command, print } from '../io.ts'

export const usage = 'berth check [--config FILE] [--tests] [-o table|json|github|sarif]'

/** Exits with 0 when the config is valid and every test holds, 1 when a test fails or `--tests` finds none, 2 when the config has errors. */
export const check: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      config: { type: 'string' },
      tests: { type: 'boolean' },
      output: { type: 'string', short: 'o' },
    },
    usage,
  )
  const output = oneOf(values, 'output', ['table', 'json', 'github', 'sarif'])
  const file = configFile(values)
  const result = readConfig(readConfigFile(file), dirname(file))
  const report: CheckReport = {
    file,
    config: result.ok ? result.config : null,
    problems: result.ok ? result.config.warnings : result.problems,
    tests: result.ok ? runConfigTests(result.config) : [],
    isTested: values['tests'] === true,
  }
  switch (output) {
    case 'json':
      print(io.stdout, jsonReport(report))
      break
    case 'github':
      for (const line of githubReport(report)) print(io.stdout, line)
      break
    case 'sarif':
      print(io.stdout, sarifReport(report))
      break
    case 'table':
      tableReport(report, io)
  }
  return exitCode(report.config, report.problems, report)
}

function exitCode(
  config: Config | null,
  problems: readonly ConfigProblem[],
  report: CheckReport,
): number {
  if (config === null || problems.some(({ severity }) => severity === 'error')) return 2
  const isUntested = report.isTested && report.tests.length === 0
  return isUntested || report.tests.some(({ failure }) => failure !== null) ? 1 : 0
}
