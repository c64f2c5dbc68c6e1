/** Defines `berth console`. */
import { Option } from 'commander'
import type { ConsoleCommandOptions } from '../actions/console.ts'
import {
  addOptions,
  allNamespacesOption,
  configOption,
  connectionOptions,
  namespaceOption,
  portOption,
  secretsDirOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineConsole: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'console',
    summary: 'Show where every image comes from, and why pulls fail, on a local web page',
    details:
      'Serves a page on 127.0.0.1, and prints its address with a token. Uses your kubeconfig, and changes nothing. Runs until you stop it.',
    examples: [
      ['Show the whole cluster', 'berth console -A'],
      ['Show one namespace, without contacting registries', 'berth console -n web --no-probe'],
    ],
  })
  addOptions(
    command,
    namespaceOption('namespace of the pods').default(undefined, "the context's namespace"),
    allNamespacesOption(),
    portOption('--port <n>', 'port of the page', 0),
    new Option('--no-probe', 'contact no registry'),
    configOption(),
    ...connectionOptions(),
    new Option('--berth-namespace <name>', 'namespace that Berth runs in').default('berth-system'),
    secretsDirOption(),
  )
  command.action((options: ConsoleCommandOptions) =>
    run(async (io) => {
      const { console: show } = await import('../actions/console.ts')
      return show(options, io)
    }),
  )
}
