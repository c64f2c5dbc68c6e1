/** Defines `berth init`. */
import { Option } from 'commander'
import type { InitOptions } from '../actions/init.ts'
import {
  addOptions,
  collect,
  commaSeparated,
  connectionOptions,
  filenameOption,
  inGroup,
  recursiveOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineInit: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'init',
    summary: 'Write a config for the images that you run and the mirror that you have',
    details: `Asks the mirror and the upstream registries, without credentials, how to reach them,
and what product the mirror is. On a terminal, asks you for what it cannot find out;
each answer is also an option. If the file exists, shows a diff and asks before it
changes the file. Exits with 3 if the mirror cannot be reached.`,
    examples: [
      ['Write berth.yaml for a cluster', 'berth init --from-cluster --mirror anubis:32000'],
      ['For manifests, with Harbor', 'berth init -R -f deploy/ --mirror harbor.corp --path mirror'],
      [
        'For a proxy project of Harbor, in a script',
        'berth init --from-cluster --mirror harbor.corp --cache docker.io=hub-proxy --yes',
      ],
    ],
  })
  addOptions(
    command,
    new Option('--from-cluster', 'read the pods and nodes of a cluster'),
    filenameOption(),
    recursiveOption(),
    new Option('--registry <host>', 'upstream registry that gets a row in any case; repeatable')
      .argParser(collect)
      .default([]),
    new Option('--out <file>', 'config file to write, or - for standard output').default(
      'berth.yaml',
    ),
    new Option('--schema <url>', 'JSON Schema for editors, in the first line').default(
      undefined,
      'the file in this installation',
    ),
    new Option('--no-probe', 'contact no registry'),
    new Option('--yes', 'ask nothing, and replace the file'),
    ...connectionOptions(),
    ...inGroup(
      'The mirror:',
      new Option('--mirror <host>', 'your registry, as nodes and images name it'),
      new Option('--endpoint <url>', 'where Berth reaches it').default(
        undefined,
        'https or http at the host, whichever answers',
      ),
      new Option('--path <prefix>', 'beginning of all paths there, such as a project of Harbor'),
      new Option(
        '--cache <host=prefix>',
        'upstream registry that the mirror caches itself, and the beginning of the paths of these images; repeatable',
      )
        .argParser(collect)
        .default([]),
      new Option('--ca <file>', 'PEM file with its CA').default(undefined, 'the public CAs'),
      new Option('--secret <name>', 'pull secret for it, or none'),
    ),
    ...inGroup(
      'The network and the nodes:',
      new Option('--proxy <url>', 'proxy for the upstream registries').default(undefined, 'none'),
      new Option('--platforms <list>', 'platforms of the nodes, such as linux/amd64,linux/arm64')
        .argParser(commaSeparated)
        .default(undefined, 'those of the cluster'),
    ),
  )
  command.action((options: InitOptions) =>
    run(async (io) => {
      const { init } = await import('../actions/init.ts')
      return init(options, io)
    }),
  )
}
