/** Defines `berth drift`. */
import { Option } from 'commander'
import type { DriftOptions } from '../actions/drift.ts'
import {
  auditLogOption,
  deepOption,
  maxJobs,
  mirrorNames,
  missingAttestationsOption,
  pairOption,
  platformOption,
} from '../mirror-options.ts'
import {
  addOptions,
  configOption,
  imageSourceOptions,
  outputOption,
  quietOption,
  secretsDirOption,
  wholeNumber,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineDrift: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'drift',
    summary: 'Compare mirrors with their upstream registries',
    details:
      'Compares digests and pulls no layers. Takes images as `berth mirror` does. Exits with 1 if an image still differs, and with 3 if an image could not be checked and no other differs.',
    examples: [
      ['Check the images of the config', 'berth drift'],
      [
        'Update stale images, and restart the workloads that run them',
        'berth drift --update --restart -A',
      ],
    ],
  })
  command.argument('[images...]', mirrorNames)
  addOptions(
    command,
    configOption(),
    ...imageSourceOptions(),
    pairOption(),
    new Option('--platforms', 'compare each platform of an image'),
    deepOption(),
    missingAttestationsOption(),
    new Option('--update', 'copy the images that are behind upstream'),
    platformOption(),
    new Option('--restart', 'restart workloads that run an older image; needs --update'),
    new Option('--dry-run', 'show what --update and --restart would do, and change nothing'),
    new Option('--jobs <n>', 'number of images to compare in parallel')
      .argParser(wholeNumber(1, maxJobs))
      .default(16),
    outputOption(['table', 'json', 'yaml']),
    auditLogOption(),
    quietOption('print drift and failures only'),
    secretsDirOption(),
  )
  command.action((names: string[], options: DriftOptions) =>
    run(async (io) => {
      const { drift } = await import('../actions/drift.ts')
      return drift(names, options, io)
    }),
  )
}
