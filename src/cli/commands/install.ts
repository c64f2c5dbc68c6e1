/** Defines `berth install`. */
import { Option } from 'commander'
import type { InstallOptions } from '../actions/install.ts'
import {
  addOptions,
  collect,
  configOption,
  connectionOptions,
  inGroup,
  wholeNumber,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineInstall: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'install',
    summary: 'Print or apply the manifests of Berth with your config',
    details: `Prints manifests for the namespace berth-system, unless an option says
otherwise. They contain the config, the CA certificates and the lock file that
it names, the mounts of its pull secrets, and the rights that it needs. Exits
with 1 if the installation is not ready in time.`,
    examples: [
      ['Install Berth', 'berth install --image anubis:32000/berth:0.2.0 --apply'],
      ['Show what it would apply', 'berth install --image anubis:32000/berth:0.2.0 | less'],
      [
        'Install it with Helm',
        'berth install --image anubis:32000/berth:0.2.0 --helm-values > values.yaml',
      ],
      [
        'Write a kustomization for Git',
        'berth install --image anubis:32000/berth:0.2.0 --kustomize deploy/berth',
      ],
    ],
  })
  addOptions(
    command,
    new Option(
      '--image <image>',
      'image of Berth, under the name that nodes use',
    ).makeOptionMandatory(),
    configOption(),
    new Option('--component <name>', 'component to add, see docs/install.md; repeatable')
      .argParser(collect)
      .default([]),
    new Option(
      '--image-pull-secret <name>',
      'pull secret in berth-system for the image of Berth; repeatable',
    )
      .argParser(collect)
      .default([]),
    new Option('--apply', 'apply the objects, and wait until Berth is ready').conflicts([
      'helmValues',
      'kustomize',
    ]),
    new Option('--helm-values', 'print values for the Helm chart instead').conflicts('kustomize'),
    new Option('--kustomize <dir>', 'write a kustomization to this directory instead'),
    ...inGroup(
      'With --apply:',
      new Option('--yes', 'do not ask'),
      new Option(
        '--take-ownership',
        'also change objects that Helm, Flux or Argo CD manages; the tool then no longer owns them alone',
      ),
      new Option('--timeout <seconds>', 'how long to wait until Berth is ready')
        .argParser(wholeNumber(1, 3_600))
        .default(300),
      ...connectionOptions(),
    ),
  )
  command.action((options: InstallOptions) =>
    run(async (io) => {
      const { install } = await import('../actions/install.ts')
      return install(options, io)
    }),
  )
}
