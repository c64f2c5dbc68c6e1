/** Defines `berth secrets`. */
import { Argument, Option } from 'commander'
import type { SourceName } from '../../config/copy-settings.ts'
import type { SecretsAction, SecretsOptions } from '../actions/secrets.ts'
import {
  addOptions,
  configOption,
  connectionOptions,
  namespacedName,
  namespaceOption,
  outputOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

const actions: readonly SecretsAction[] = ['check', 'plan', 'sync', 'rbac']

export const defineSecrets: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'secrets',
    summary: 'Copy pull secrets to namespaces and link them to service accounts',
    details: `Does once what the controller does for \`pullSecretCopies\` of the config:
check  list service accounts that lack a pull secret which their pods need
plan   show what sync would write
sync   copy the secrets and link them
rbac   print the roles and bindings that the controller needs
Exits with 1 if anything is missing, planned or failed.`,
    examples: [
      ['Show what would be written', 'berth secrets plan'],
      [
        'Find pods that lack a secret, without a config',
        'berth secrets check --source infra/hub-creds',
      ],
      [
        'Grant the controller its rights',
        'berth secrets rbac -n berth-system | kubectl apply -f -',
      ],
    ],
  })
  command.addArgument(new Argument('<action>', 'what to do').choices(actions))
  addOptions(
    command,
    configOption(),
    namespaceOption('only this namespace; for rbac, the namespace that Berth runs in').default(
      undefined,
      'all; for rbac, berth-system',
    ),
    ...connectionOptions(),
    outputOption(['table', 'json', 'yaml']),
    new Option(
      '--source <namespace/name>',
      'for check: one more pull secret to look in; repeatable',
    )
      .argParser(collectNames)
      .default([]),
    new Option('--service-account <name>', 'for rbac: service account of the controller').default(
      'berth-controller',
    ),
    new Option('--lease <name>', 'for rbac: Lease of the controller').default('berth-controller'),
  )
  command.action((action: SecretsAction, options: SecretsOptions) =>
    run(async (io) => {
      const { secrets } = await import('../actions/secrets.ts')
      return secrets(action, options, io)
    }),
  )
}

function collectNames(value: string, previous: readonly SourceName[]): SourceName[] {
  return [...previous, namespacedName(value)]
}
