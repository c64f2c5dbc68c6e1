/** Defines `berth nodes detect`. */
import { Option } from 'commander'
import type { NodesDetectOptions } from '../actions/nodes-detect.ts'
import { rootOption, runtimeVersionOption } from '../node-options.ts'
import { addOptions, connectionOptions, outputOption } from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineNodesDetect: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'detect',
    summary: 'Show the container runtime of this machine and the files that it reads',
    details:
      'Exits with 1 if a node has no target, or if the runtime silently ignores a file or setting.',
    examples: [
      ['Inspect this machine', 'berth nodes detect'],
      ['Inspect a machine whose files are mounted', 'berth nodes detect --root /host'],
    ],
  })
  addOptions(
    command,
    new Option('--cluster', 'show the runtime of each node of a cluster instead'),
    ...connectionOptions(),
    rootOption(),
    runtimeVersionOption(),
    outputOption(['table', 'json', 'yaml']),
  )
  command.action((options: NodesDetectOptions) =>
    run(async (io) => {
      const { nodesDetect } = await import('../actions/nodes-detect.ts')
      return nodesDetect(options, io)
    }),
  )
}
