/** Defines `berth controller`. */
import { Option } from 'commander'
import type { ControllerOptions } from '../actions/controller.ts'
import {
  addOptions,
  configOption,
  connectionOptions,
  inGroup,
  logLevelOption,
  namespaceOption,
  portOption,
  secretsDirOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

/** In the order of their use. */
function consoleOptions(): Option[] {
  return [
    new Option('--console', 'serve the console'),
    new Option(
      '--console-host <address>',
      'address to listen on; one that other pods reach needs --console-url and --console-token-file',
    ).default('127.0.0.1', '127.0.0.1, which kubectl port-forward reaches'),
    portOption('--console-port <n>', 'port of the console', 8090),
    new Option(
      '--console-url <url>',
      'URL at which people open the console through a proxy; requests for other hosts are refused',
    ),
    new Option(
      '--console-token-file <file>',
      'file with a token that each request for data needs, as Authorization: Bearer TOKEN',
    ),
    new Option('--no-console-probe', 'do not ask registries about the images of pods'),
  ]
}

export const defineController: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'controller',
    summary: 'Run the controller',
    details:
      'Runs the loops that the config asks for, in one replica at a time. Reloads the config when its file changes. With --console, every replica also serves the console, read-only.',
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
    ...inGroup('Console:', ...consoleOptions()),
  )
  command.action((options: ControllerOptions) =>
    run(async (io) => {
      const { controller } = await import('../actions/controller.ts')
      return controller(options, io)
    }),
  )
}
