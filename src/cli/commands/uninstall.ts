/** Defines `berth uninstall`. */
import { Option } from 'commander'
import type { UninstallOptions } from '../actions/uninstall.ts'
import { addOptions, connectionOptions, namespaceOption, outputOption } from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineUninstall: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'uninstall',
    summary: 'Remove Berth and everything that it created from a cluster',
    details: `Finds objects by the labels of Berth: the installation, roles, policies, copies
of pull secrets, and links in service accounts. Other entries of a service
account stay. Lists them, asks, and removes them. Exits with 1 if something is left.`,
    examples: [
      ['Show what would be removed', 'berth uninstall --plan'],
      ['Remove it without asking', 'berth uninstall --yes'],
    ],
  })
  addOptions(
    command,
    new Option('--plan', 'list what would be removed, and remove nothing'),
    new Option('--yes', 'remove it without asking'),
    namespaceOption('namespace that Berth runs in').default('berth-system'),
    ...connectionOptions(),
    outputOption(['table', 'json', 'yaml']),
  )
  command.action((options: UninstallOptions) =>
    run(async (io) => {
      const { uninstallBerth } = await import('../actions/uninstall.ts')
      return uninstallBerth(options, io)
    }),
  )
}
