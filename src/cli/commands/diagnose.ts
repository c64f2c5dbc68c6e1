/** Defines `berth diagnose`. */
import { Option } from 'commander'
import type { DiagnoseOptions } from '../actions/diagnose.ts'
import {
  addOptions,
  allNamespacesOption,
  configOption,
  connectionOptions,
  inGroup,
  namespacedName,
  namespaceOption,
  outputOption,
  secretsDirOption,
  watchOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineDiagnose: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'diagnose',
    summary: 'Explain image pull failures and how to fix them',
    details:
      'Reads pods, events, pull secrets, service accounts and nodes, and queries the registries of failing images. Changes nothing without --fix. Exits with 1 if a pull fails.',
    examples: [
      ['Explain the failures in a namespace', 'berth diagnose -n web'],
      [
        'Explain one pod, without contacting registries',
        'berth diagnose pod/web-7d9c -n web --no-probe',
      ],
      ['Explain a message, without a cluster', 'berth diagnose --message "manifest unknown"'],
      ['Update the diagnosis when pods change', 'berth diagnose -n web --watch'],
      ['Show what --fix would do, and do nothing', 'berth diagnose -n web --fix --dry-run'],
    ],
  })
  command.argument(
    '[names...]',
    'pod/NAME, deployment/NAME, statefulset/NAME, daemonset/NAME, replicaset/NAME or job/NAME (default: all pods)',
  )
  addOptions(
    command,
    namespaceOption('namespace of the pods').default(undefined, "the context's namespace"),
    allNamespacesOption(),
    new Option(
      '--message <text>',
      'error message to explain, or - to read one per line from standard input',
    ),
    new Option('--no-probe', 'contact no registry'),
    watchOption().conflicts(['message', 'fix']),
    configOption(),
    ...connectionOptions(),
    outputOption(['table', 'json', 'yaml']),
    secretsDirOption(),
    ...inGroup(
      'Fixing:',
      new Option(
        '--fix',
        'copy and link missing pull secrets, and evict pods; asks first',
      ).conflicts('message'),
      new Option('--secret <namespace/name>', 'pull secret to copy').argParser(namespacedName),
      new Option('--dry-run', 'show the plan, and change nothing'),
      new Option('--yes', 'carry out the plan without asking'),
    ),
  )
  command.action((names: string[], options: DiagnoseOptions) =>
    run(async (io) => {
      const { diagnose } = await import('../actions/diagnose.ts')
      return diagnose(names, options, io)
    }),
  )
}
