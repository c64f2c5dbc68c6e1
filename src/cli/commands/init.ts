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
    summary: 'Generate a config from the images that you run and your mirror',
    details: `Probes the mirror and the upstream registries, without credentials, to find
their endpoints and the type of the mirror. On a terminal, asks you for what it
cannot detect; each answer is also an option. If the file exists, shows a diff
and asks before it replaces the file. Exits with 3 if the mirror cannot be
reached.`,
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
    new Option(
      '--registry <host>',
      'upstream registry that gets a row even if no image uses it; repeatable',
    )
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
    new Option('--yes', 'ask no questions, and replace the file'),
    ...connectionOptions(),
    ...inGroup(
      'The mirror:',
      new Option('--mirror <host>', 'your registry, as nodes and images name it'),
      new Option('--endpoint <url>', 'URL at which Berth reaches the mirror').default(
        undefined,
        'https or http at the host, whichever answers',
      ),
      new Option('--path <prefix>', 'prefix of all paths on the mirror, such as a Harbor project'),
      new Option(
        '--cache <host=prefix>',
        'upstream registry that the mirror caches itself, and the path prefix of its images; repeatable',
      )
        .argParser(collect)
        .default([]),
      new Option('--ca <file>', 'PEM file with the CA of the mirror').default(
        undefined,
        'the public CAs',
      ),
      new Option('--secret <name>', 'pull secret for the mirror, or none'),
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
