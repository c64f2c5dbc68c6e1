/** Defines `berth nodes check`. */
import { Option } from 'commander'
import type { NodesCheckOptions } from '../actions/nodes-check.ts'
import {
  airGapOption,
  localTargetOption,
  rootOption,
  runtimeVersionOption,
} from '../node-options.ts'
import { addOptions, configOption, outputOption } from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineNodesCheck: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'check',
    summary: 'Compare the registry files of this machine with the fallback table',
    details:
      'For each image, compares the registries of the table with those in the files, in order. Exits with 1 if they differ.',
    examples: [['Check one image', 'berth nodes check docker.io/library/nginx:1.29']],
  })
  command.argument(
    '[images...]',
    'images to check (default: one for each pattern, test and registry)',
  )
  addOptions(
    command,
    configOption(),
    localTargetOption(),
    rootOption(),
    runtimeVersionOption(),
    new Option('--dir <dir>', 'directory of the registry files').default(
      undefined,
      'the one that the runtime reads',
    ),
    airGapOption(),
    outputOption(['table', 'json', 'yaml']),
  )
  command.action((images: string[], options: NodesCheckOptions) =>
    run(async (io) => {
      const { nodesCheck } = await import('../actions/nodes-check.ts')
      return nodesCheck(images, options, io)
    }),
  )
}
