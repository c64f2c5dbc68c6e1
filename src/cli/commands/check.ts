/** Defines `berth check`. */
import { Option } from 'commander'
import type { CheckOptions } from '../actions/check.ts'
import {
  addOptions,
  configOption,
  imageSourceOptions,
  inGroup,
  outputOption,
  policiesOption,
} from '../options.ts'
import type { OlderVersion } from '../../config/version-keys.ts'
import { packageVersion } from '../package-version.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

/** Not read from `keysAfter`: its file loads the YAML library, which the help does not need. */
const olderVersions: Readonly<Record<OlderVersion, true>> = { '0.1.0': true }

export const defineCheck: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'check',
    summary: 'Validate the config and run its tests',
    details:
      'Exits with 1 if a test fails, or if a policy no longer covers an image, and with 2 if the config has errors, or keys that the version of --for-version rejects.',
    examples: [
      ['Validate berth.yaml, and require that it has tests', 'berth check --tests'],
      [
        'Find verification policies that miss mirrored images',
        'berth check --policies cluster --from-cluster -A',
      ],
      ['Annotate a pull request on GitHub', 'berth check deploy/berth.yaml -o github'],
      ['Find keys to remove before a downgrade to 0.1.0', 'berth check --for-version 0.1.0'],
    ],
  })
  command.argument('[file]', 'config file, instead of --config')
  addOptions(
    command,
    configOption(),
    new Option('--tests', 'show each test, and exit with 1 if the config has none'),
    new Option(
      '--for-version <version>',
      'also report keys that this version of Berth rejects, before you go back to it',
    ).choices([...Object.keys(olderVersions), packageVersion()]),
    outputOption(['table', 'json', 'yaml', 'github', 'sarif']),
    policiesOption('image verification policies to compare with the table'),
    ...inGroup('Images to compare with the policies:', ...imageSourceOptions('-f or --policies')),
  )
  command.action((file: string | undefined, options: CheckOptions) =>
    run(async (io) => {
      const { check } = await import('../actions/check.ts')
      return check(file, options, io)
    }),
  )
}
