/** Defines `berth nodes apply`. */
import { Option } from 'commander'
import type { NodesApplyOptions } from '../actions/nodes-apply.ts'
import { localTargetOption, renderOptions, rootOption } from '../node-options.ts'
import { addOptions, inGroup, namespaceOption, outputOption } from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineNodesApply: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'apply',
    summary: 'Write the registry files on this machine, or roll them back',
    details:
      'Keeps a backup of each file that it replaces. Exits with 1 if a file was left alone because someone else modified it.',
    examples: [
      ['Show what would change on this machine', 'berth nodes apply --dry-run'],
      [
        'Write the files on every node of a cluster',
        'berth nodes apply --manifest --target k3s --image registry.example/berth:1 | kubectl apply -f -',
      ],
    ],
  })
  addOptions(
    command,
    localTargetOption(),
    ...renderOptions(),
    new Option(
      '--rendered <file>',
      'output of `berth nodes render -o json` to write instead of the config',
    ),
    rootOption(),
    new Option('--dry-run', 'show what would change, and change nothing'),
    new Option('--force', 'replace files that someone else modified'),
    new Option('--rollback', 'restore the original files'),
    new Option('--stay', 'keep running when done, until a signal arrives; for DaemonSets'),
    outputOption(['text', 'json', 'yaml']),
    ...inGroup(
      'Every node of a cluster:',
      new Option('--manifest', 'print a DaemonSet that writes the files on every node'),
      new Option('--image <image>', 'image of Berth, whose entry point is berth'),
      namespaceOption('namespace of the DaemonSet').default('berth-system'),
    ),
  )
  command.action((options: NodesApplyOptions) =>
    run(async (io) => {
      const { nodesApply } = await import('../actions/nodes-apply.ts')
      return nodesApply(options, io)
    }),
  )
}
