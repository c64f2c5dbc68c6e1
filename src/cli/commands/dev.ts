/** Defines `berth dev`. */
import { Option } from 'commander'
import type { DevOptions } from '../actions/dev.ts'
import {
  addOptions,
  connectionOptions,
  inGroup,
  namespaceOption,
  portOption,
  secretsDirOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineDev: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'dev',
    summary: 'Run the webhook on this machine and admit a sample pod',
    details:
      'Uses temporary certificates. Without --config it uses an example table and a local stand-in for its mirror.',
    examples: [
      ['See what the example table does to a pod', 'berth dev --once'],
      [
        'Try a config on the new pods of a namespace',
        'berth dev --config berth.yaml --register -n web',
      ],
    ],
  })
  addOptions(
    command,
    new Option('--config <file>', 'config file').default(undefined, 'an example'),
    new Option(
      '--review <file>',
      'file with the AdmissionReview, the Pod, or the workload such as a Deployment to admit',
    ).default(undefined, 'a sample pod'),
    portOption('--port <n>', 'HTTPS port', 0),
    portOption('--metrics-port <n>', 'port for metrics and health checks', 0),
    secretsDirOption(),
    new Option('--once', 'stop after the review').conflicts('register'),
    ...inGroup(
      'Pods of a cluster:',
      new Option('--register', 'let a cluster send its new pods to this process; asks first'),
      new Option('--yes', 'register without asking'),
      new Option(
        '--address <address>',
        'address of this machine as the API server reaches it',
      ).default(undefined, 'its first IPv4 address'),
      namespaceOption('only the pods of this namespace').default(undefined, 'all'),
      ...connectionOptions(),
    ),
  )
  command.action((options: DevOptions) =>
    run(async (io) => {
      const { dev } = await import('../actions/dev.ts')
      return dev(options, io)
    }),
  )
}
