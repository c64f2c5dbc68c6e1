/** Runs `berth check`: validates the config and runs its tests. */
import { dirname } from 'node:path'
import { runConfigTests } from '../../config/config-tests.ts'
import { readConfig, readConfigFile } from '../../config/load.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print } from '../io.ts'
import {
  type CheckReport,
  githubReport,
  jsonReport,
  printTableReport,
  sarifReport,
} from '../output/check-report.ts'

export interface CheckOptions {
  readonly config?: string
  readonly tests?: boolean
  readonly output: 'table' | 'json' | 'github' | 'sarif'
}

/** Returns 0; 1 if a test fails, or `--tests` finds none; 2 if the config has errors. */
export async function check(options: CheckOptions, io: Io): Promise<number> {
  const file = findConfigFile(options.config)
  const result = readConfig(readConfigFile(file), dirname(file))
  const report: CheckReport = {
    file,
    config: result.ok ? result.config : null,
    problems: result.ok ? result.config.warnings : result.problems,
    tests: result.ok ? runConfigTests(result.config) : [],
    requiresTests: options.tests === true,
  }
  switch (options.output) {
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
      printTableReport(report, io)
  }
  return exitCode(report)
}

function exitCode({ config, problems, tests, requiresTests }: CheckReport): number {
  if (config === null || problems.some(({ severity }) => severity === 'error')) return 2
  const lacksTests = requiresTests && tests.length === 0
  return lacksTests || tests.some(({ failure }) => failure !== null) ? 1 : 0
}
