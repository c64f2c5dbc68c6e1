/** Defines `berth controller`. */
import { Option } from 'commander'
import type { ControllerOptions } from '../actions/controller.ts'
import {
  addOptions,
  configOption,
  connectionOptions,
  logLevelOption,
  namespaceOption,
  portOption,
  secretsDirOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineController: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'controller',
    summary: 'Run the controller',
    details:
      'Runs the loops that the config asks for, in one replica at a time. Reloads the config when its file changes.',
    examples: [
      [
        'Run outside the cluster, with its metrics on port 9090',
        'berth controller --context staging --metrics-port 9090',
      ],
    ],
  })
  addOptions(
    command,
    configOption(),
    ...connectionOptions(),
    namespaceOption('namespace of the Lease').default(
      undefined,
      "the context's or the pod's namespace",
    ),
    new Option('--lease <name>', 'Lease for leader election').default('berth-controller'),
    new Option('--host <address>', 'address to listen on').default('0.0.0.0'),
    portOption('--metrics-port <n>', 'port for metrics and health checks', 8080),
    secretsDirOption(),
    logLevelOption(),
  )
  command.action((options: ControllerOptions) =>
    run(async (io) => {
      const { controller } = await import('../actions/controller.ts')
      return controller(options, io)
    }),
  )
}
