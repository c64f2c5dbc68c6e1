/** Defines `berth check`. */
import { Option } from 'commander'
import type { CheckOptions } from '../actions/check.ts'
import { addOptions, configOption, outputOption } from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineCheck: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'check',
    summary: 'Validate the config and run its tests',
    details: 'Exits with 1 if a test fails, and with 2 if the config has errors.',
    examples: [
      ['Validate berth.yaml, and require that it has tests', 'berth check --tests'],
      ['Annotate a pull request on GitHub', 'berth check --config deploy/berth.yaml -o github'],
    ],
  })
  addOptions(
    command,
    configOption(),
    new Option('--tests', 'show each test, and exit with 1 if the config has none'),
    outputOption(['table', 'json', 'github', 'sarif']),
  )
  command.action((options: CheckOptions) =>
    run(async (io) => {
      const { check } = await import('../actions/check.ts')
      return check(options, io)
    }),
  )
}
