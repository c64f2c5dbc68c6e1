/** Defines `berth explain`. */
import { Option } from 'commander'
import type { ExplainOptions } from '../actions/explain.ts'
import {
  addOptions,
  configOption,
  labelsOption,
  namespaceOption,
  outputOption,
  ownerOption,
  podPlatformOption,
  secretsDirOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineExplain: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'explain',
    summary: 'Show the whole decision for each image',
    details:
      'Decides as the webhook does: the row that matches, each candidate with the answer of its registry, and the result.',
    examples: [
      ['Explain two images', 'berth explain nginx ghcr.io/rclone/rclone:1.64.2'],
      [
        'Explain the images in a file, without asking registries',
        'berth explain - --no-probe < images.txt',
      ],
      [
        'Explain an image in the pods of an operator',
        'berth explain postgres:17 -n db --labels app=db --owner postgresql.cnpg.io/Cluster',
      ],
      ['Explain an image in a pod for arm64 nodes', 'berth explain nginx --platform linux/arm64'],
    ],
  })
  command.argument('<images...>', 'image names, or - to read one per line from standard input')
  addOptions(
    command,
    configOption(),
    namespaceOption('namespace of the pod').default(
      undefined,
      'unknown, and default for the template variable',
    ),
    labelsOption(),
    ownerOption('the pod'),
    new Option(
      '--in-conflict',
      'the controller has listed the owner of the pod as in conflict (`conflicts: leave`)',
    ),
    podPlatformOption(),
    new Option('--no-probe', 'contact no registry, and treat the first candidate as found'),
    outputOption(['table', 'json', 'yaml']),
    secretsDirOption(),
  )
  command.action((images: string[], options: ExplainOptions) =>
    run(async (io) => {
      const { explain } = await import('../actions/explain.ts')
      return explain(images, options, io)
    }),
  )
}
