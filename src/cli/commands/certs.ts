/** Defines `berth certs`. */
import { Option } from 'commander'
import type { CertsOptions } from '../actions/certs.ts'
import { addOptions, commaSeparated, namespaceOption, wholeNumber } from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

/** A year. Renewal is a manual step here, so a shorter life would sooner end in an outage. */
const defaultDays = 365

/** Apple's platforms accept no longer life for a server certificate. */
const maxDays = 825

export const defineCerts: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'certs',
    summary: 'Create a CA, a serving certificate and the manifests that use them',
    details: 'Writes ca.crt, ca.key, tls.crt, tls.key, secret.yaml and mutating-webhook.yaml.',
    examples: [
      ['Create certificates for the Service of the webhook', 'berth certs --out certs'],
      ['Create them for a webhook outside the cluster', 'berth certs --url https://10.0.0.5:8443'],
    ],
  })
  addOptions(
    command,
    new Option('--out <dir>', 'directory to write to').default('certs'),
    namespaceOption("namespace of the webhook's Service").default('berth-system'),
    new Option('--service <name>', 'Service of the webhook').default('berth-webhook'),
    new Option(
      '--names <names>',
      'more DNS names and IP addresses for the certificate, separated by commas',
    )
      .argParser(commaSeparated)
      .default([]),
    new Option('--url <url>', 'https URL that the API server calls instead of the Service'),
    new Option('--days <n>', `days until the certificate expires, from 1 to ${maxDays}`)
      .argParser(wholeNumber(1, maxDays))
      .default(defaultDays),
    new Option('--force', 'replace files that exist'),
  )
  command.action((options: CertsOptions) =>
    run(async (io) => {
      const { certs } = await import('../actions/certs.ts')
      return certs(options, io)
    }),
  )
}
