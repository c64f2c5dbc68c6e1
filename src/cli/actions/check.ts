/** Runs `berth check`: validates the config and runs its tests. */
import { dirname } from 'node:path'
import { runConfigTests } from '../../config/config-tests.ts'
import { readConfig, readConfigFile } from '../../config/load.ts'
import { findNewerKeys } from '../../config/version-keys.ts'
import { BerthError } from '../../errors.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print } from '../io.ts'
import type { ImageSourceOptions } from '../options.ts'
import {
  checkRecord,
  type CheckReport,
  githubReport,
  printTableReport,
  sarifReport,
} from '../output/check-report.ts'
import { printRecord } from '../output/print-record.ts'
import { isGap } from '../output/policy-report.ts'

export interface CheckOptions extends ImageSourceOptions {
  readonly config?: string
  readonly tests?: boolean
  readonly forVersion?: string
  readonly policies?: readonly string[]
  readonly output: 'table' | 'json' | 'yaml' | 'github' | 'sarif'
}

/**
 * Returns 0; 1 if a test fails, `--tests` finds none, or a policy no longer covers an image; 2 if the config has
 * errors, or keys that the version of `--for-version` rejects.
 */
export async function check(
  given: string | undefined,
  options: CheckOptions,
  io: Io,
): Promise<number> {
  const { policies } = options
  if (policies === undefined && (options.filename.length > 0 || options.fromCluster === true))
    throw new BerthError(
      'usage',
      'images are compared with policies; add --policies, or name the config alone: berth check FILE',
    )
  const file = findConfigFile(configOf(given, options))
  const text = readConfigFile(file)
  const result = readConfig(text, dirname(file))
  const newer = options.forVersion === undefined ? [] : findNewerKeys(options.forVersion, text)
  const report: CheckReport = {
    file,
    config: result.ok ? result.config : null,
    problems: result.ok ? [...newer, ...result.config.warnings] : result.problems,
    tests: result.ok ? runConfigTests(result.config) : [],
    requiresTests: options.tests === true,
    forVersion: options.forVersion,
    policies:
      result.ok && policies !== undefined
        ? await (
            await import('./check-policies.ts')
          ).checkPolicies(result.config, { ...options, policies }, io)
        : null,
  }
  switch (options.output) {
    case 'json':
    case 'yaml':
      printRecord(checkRecord(report), options.output, io)
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

/** Returns the config file that the command line names, as an argument or with `--config`. */
function configOf(given: string | undefined, { config }: CheckOptions): string | undefined {
  if (given !== undefined && config !== undefined)
    throw new BerthError('usage', `two configs: ${given} and --config ${config}; name one`)
  return given ?? config
}

function exitCode({ config, problems, tests, requiresTests, policies }: CheckReport): number {
  if (config === null || problems.some(({ severity }) => severity === 'error')) return 2
  const lacksTests = requiresTests && tests.length === 0
  if (policies?.changes.some(isGap) === true) return 1
  return lacksTests || tests.some(({ failure }) => failure !== null) ? 1 : 0
}
