/** Defines `berth rewrite`. */
import { Option } from 'commander'
import type { RewriteOptions } from '../actions/rewrite.ts'
import {
  addOptions,
  configOption,
  filenameOption,
  namespaceOption,
  outputOption,
  ownerOption,
  recursiveOption,
  secretsDirOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineRewrite: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'rewrite',
    summary: 'Rewrite the images in manifests as the webhook would',
    details:
      'Prints the new manifests unless an option says otherwise, and leaves every other byte as it is. In kustomizations, it changes the entries of images together with the files. Works in pipes, as a Helm post-renderer and as a kustomize function.',
    examples: [
      ['Show what would change in a directory', 'berth rewrite -R -f deploy/ --diff'],
      ['Fail in CI if a manifest is not rewritten', 'berth rewrite -R -f deploy/ --check'],
      [
        'Fail in CI also if other fields contain images',
        'berth rewrite -R -f deploy/ --check --strict',
      ],
      ['Rewrite the output of Helm', 'helm template ./chart | berth rewrite -f -'],
    ],
  })
  addOptions(
    command,
    filenameOption(),
    recursiveOption(),
    new Option('--diff', 'print a diff').conflicts(['inPlace', 'check']),
    new Option('--in-place', 'change the files').conflicts('check'),
    new Option('--check', 'list what would change, and exit with 1 if anything would change'),
    new Option(
      '--strict',
      'with --check: exit with 1 also if an image of the table is in a field that Berth does not rewrite',
    ),
    new Option(
      '--kustomize-out <dir>',
      'write an overlay for each kustomization that no other one reads, and leave the files unchanged',
    ).conflicts(['diff', 'inPlace', 'check', 'output', 'helmValues']),
    new Option(
      '--helm-values',
      'also change images in the values of HelmReleases, HelmCharts and Applications, and in values files that -f names',
    ),
    new Option('--images-only', 'do not change pull policies and pull secrets'),
    new Option('--no-probe', 'contact no registry, and treat the first candidate as found'),
    new Option('--pin', 'add a digest to every tag, and exit with 1 if there is none for a tag'),
    namespaceOption('namespace of manifests without a namespace').default(
      undefined,
      'unknown, and default for the template variable',
    ),
    ownerOption('the pods of kinds that Berth does not know'),
    outputOption(['table', 'json', 'yaml']),
    configOption(),
    secretsDirOption(),
  )
  command.action((options: RewriteOptions) =>
    run(async (io) => {
      const { rewrite } = await import('../actions/rewrite.ts')
      return rewrite(options, io)
    }),
  )
}
