/** `berth check`: is the config valid, and do its tests hold? */
import { dirname } from 'node:path'
import { loadConfig, readConfig, readConfigFile } from '../config/load.ts'
import type { Config, ConfigTest } from '../config/config.ts'
import { formatProblem } from '../config/problem.ts'
import { parseReference } from '../reference/parse.ts'
import { formatReference } from '../reference/reference.ts'
import { resolveUnasked } from '../resolve/resolution.ts'
import { configFile, oneOf, readOptions } from './arguments.ts'
import { type Command, type Io, print } from './io.ts'

export const usage = 'berth check [--config FILE] [-o table|json]'

/** Exits with 0 when the config is valid and every test holds, 1 when a test fails; errors in the config are thrown (2). */
export const check: Command = async (args, io) => {
  const values = readOptions(
    args,
    { config: { type: 'string' }, output: { type: 'string', short: 'o' } },
    usage,
  )
  const output = oneOf(values, 'output', ['table', 'json'])
  const file = configFile(values)
  const config = readOrReport(file, output, io)
  if (config === null) return 2
  const failures = config.tests.flatMap((test, index) => {
    const failure = failureOf(config, test)
    return failure === null ? [] : [{ test: index, image: test.image, message: failure }]
  })
  for (const warning of config.warnings) print(io.stderr, formatProblem(file, warning))
  for (const { image, message } of failures)
    print(io.stderr, `${file}: test of ${image}: ${message}`)
  if (output === 'json') {
    print(
      io.stdout,
      JSON.stringify(
        {
          file,
          rows: config.table.rows.length,
          registries: [...config.registries.keys()],
          warnings: config.warnings,
          tests: config.tests.length,
          failures,
        },
        null,
        2,
      ),
    )
  } else {
    const tests =
      config.tests.length === 0
        ? 'no tests'
        : `${config.tests.length - failures.length} of ${config.tests.length} tests pass`
    print(
      io.stdout,
      `${file}: ${count(config.table.rows.length, 'row')}, ${config.registries.size === 1 ? '1 registry' : `${config.registries.size} registries`}, ${count(config.warnings.length, 'warning')}, ${tests}`,
    )
  }
  return failures.length === 0 ? 0 : 1
}

/** For machines an invalid config is data like any other; for people it is an error. */
function readOrReport(file: string, output: 'table' | 'json', io: Io): Config | null {
  const result = output === 'json' ? readConfig(readConfigFile(file), dirname(file)) : null
  if (result === null) return loadConfig(file)
  if (result.ok) return result.config
  const [errors, warnings] = (['error', 'warning'] as const).map((severity) =>
    result.problems.filter((problem) => problem.severity === severity),
  )
  print(io.stdout, JSON.stringify({ file, errors, warnings }, null, 2))
  return null
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function failureOf(config: Config, { image, namespace, expect, row }: ConfigTest): string | null {
  const parsed = parseReference(image)
  if (!parsed.ok) return `${image} is no image name: ${parsed.message}`
  const resolution = resolveUnasked(config, { reference: parsed.reference, namespace })
  const got = resolution.changed ? formatReference(resolution.chosen) : image
  const want = parseReference(expect)
  const same = want.ok && formatReference(resolution.chosen) === formatReference(want.reference)
  if (got !== expect && !same)
    return `expected ${expect}, got ${got} (row ${resolution.row ?? 'none'})`
  if (row !== undefined && row !== resolution.row)
    return `expected row ${row ?? 'none'}, got ${resolution.row ?? 'none'}`
  return null
}
