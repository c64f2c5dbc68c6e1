/** Defines `berth nodes render`. */
import { Option } from 'commander'
import type { NodesRenderOptions } from '../actions/nodes-render.ts'
import { addOptions, outputOption } from '../options.ts'
import { allTargets, renderOptions } from '../node-options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineNodesRender: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'render',
    summary: 'Print the files for a container runtime, or write them to a directory',
    examples: [
      [
        'Write the hosts.toml files of containerd',
        'berth nodes render --target containerd --out hosts',
      ],
      [
        'Apply the mirrors of an OpenShift cluster',
        'berth nodes render --target openshift | oc apply -f -',
      ],
    ],
  })
  addOptions(
    command,
    new Option('--target <name>', 'runtime or distribution')
      .choices(allTargets)
      .makeOptionMandatory(),
    ...renderOptions(),
    new Option('--out <dir>', 'directory to write to').default(undefined, 'standard output'),
    outputOption(['text', 'json', 'yaml']),
  )
  command.action((options: NodesRenderOptions) =>
    run(async (io) => {
      const { nodesRender } = await import('../actions/nodes-render.ts')
      return nodesRender(options, io)
    }),
  )
}
