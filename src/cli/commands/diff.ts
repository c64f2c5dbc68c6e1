/** Defines `berth diff`. */
import type { DiffOptions } from '../actions/diff.ts'
import { addOptions, imageSourceOptions, outputOption } from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineDiff: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'diff',
    summary: 'Compare the image decisions of two configs',
    details:
      'Compares row, candidates, pin, pull policy and pull secrets of each image, and contacts no registry. Without -f and --from-cluster, it compares a sample of each pattern and the images of the tests. Exits with 1 if a decision differs.',
    examples: [
      ['Compare two versions of a config', 'berth diff old.yaml new.yaml'],
      [
        'Compare them for the pods of all namespaces',
        'berth diff old.yaml new.yaml --from-cluster -A',
      ],
    ],
  })
  command.argument('<old>', 'config file').argument('<new>', 'config file to compare with it')
  addOptions(command, ...imageSourceOptions(), outputOption(['table', 'json', 'yaml']))
  command.action((oldFile: string, newFile: string, options: DiffOptions) =>
    run(async (io) => {
      const { diff } = await import('../actions/diff.ts')
      return diff({ oldFile, newFile }, options, io)
    }),
  )
}
