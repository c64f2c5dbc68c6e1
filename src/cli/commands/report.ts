/** Defines `berth report`. */
import { Option } from 'commander'
import type { ReportOptions } from '../actions/report.ts'
import {
  addOptions,
  allNamespacesOption,
  configOption,
  connectionOptions,
  namespaceOption,
  outputOption,
  secretsDirOption,
  watchOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineReport: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'report',
    summary: 'Show what pods run, from which registry, and what Berth would change',
    details:
      'Also shows which images could still be pulled offline, from the mirrors alone. Changes nothing; only `--try-push` starts uploads, which it cancels. Exits with 3 if a registry did not answer for an image.',
    examples: [
      ['Report on the namespace of the current context', 'berth report'],
      ['Report on the whole cluster as JSON', 'berth report -A -o json'],
      ['List the images that a mirror lacks, and why', 'berth report -A --mirror'],
      ['Also find out which of them the mirror refuses', 'berth report -A --mirror --try-push'],
      ['List the pods that were created while Berth was down', 'berth report -A --unprocessed'],
      ['List running images that no longer exist', 'berth report -A --at-risk'],
      ['Update the report when pods change', 'berth report -A --watch'],
    ],
  })
  addOptions(
    command,
    namespaceOption('namespace of the pods').default(undefined, "the context's namespace"),
    allNamespacesOption(),
    new Option('--mirror', 'list the images that belong on a mirror and are not there, and why'),
    new Option(
      '--try-push',
      'with --mirror: start an upload to each repository that lacks an image, and cancel it, to find out whether the mirror accepts a push with your credentials',
    ).implies({ mirror: true }),
    new Option(
      '--unprocessed',
      'list the pods that Berth has not processed and whose images would change in a new pod',
    ).conflicts('mirror'),
    new Option(
      '--at-risk',
      'list the running images that are missing from their registry or upstream, or could not be checked',
    ).conflicts(['mirror', 'unprocessed']),
    watchOption(),
    configOption(),
    ...connectionOptions(),
    new Option('--berth-namespace <name>', 'namespace that Berth runs in').default('berth-system'),
    outputOption(['table', 'json', 'yaml']),
    secretsDirOption(),
  )
  command.action((options: ReportOptions) =>
    run(async (io) => {
      const { report } = await import('../actions/report.ts')
      return report(options, io)
    }),
  )
}
