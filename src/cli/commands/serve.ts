/** Defines `berth serve`. */
import { Option } from 'commander'
import { drainSeconds, mountedCertificate, settleSeconds } from '../../webhook/defaults.ts'
import type { ServeOptions } from '../actions/serve.ts'
import {
  addOptions,
  commaSeparated,
  configOption,
  inGroup,
  logLevelOption,
  namespaceOption,
  portOption,
  secretsDirOption,
  wholeNumber,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineServe: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'serve',
    summary: 'Run the webhook',
    details:
      'Answers /mutate and /observe over HTTPS, and /healthz, /readyz and /metrics over HTTP. Reloads the config and the certificate when their files change. Drains on SIGTERM.',
    examples: [
      [
        'Serve with the certificate that `berth certs` created',
        'berth serve --tls-cert certs/tls.crt --tls-key certs/tls.key',
      ],
      [
        'Let Berth issue and rotate its certificate',
        'berth serve --own-certificate berth-webhook-tls',
      ],
    ],
  })
  addOptions(
    command,
    configOption(),
    new Option('--tls-cert <file>', 'serving certificate').default(mountedCertificate.cert),
    new Option('--tls-key <file>', 'private key of the certificate').default(
      mountedCertificate.key,
    ),
    new Option('--host <address>', 'address to listen on').default('0.0.0.0'),
    portOption('--port <n>', 'HTTPS port', 8443),
    portOption('--metrics-port <n>', 'port for metrics and health checks', 8080),
    new Option(
      '--client-ca <file>',
      'CA file; accept only callers with a certificate from this CA',
    ),
    new Option(
      '--client-names <names>',
      'accept only callers with one of these DNS or common names, separated by commas',
    )
      .argParser(commaSeparated)
      .default([]),
    secretsDirOption(),
    new Option('--kubeconfig <file>', 'cluster to read namespaces and pull secrets from').default(
      undefined,
      'in a pod, its own cluster; elsewhere none',
    ),
    new Option(
      '--drain-seconds <n>',
      'minimum time to keep serving after SIGTERM, in seconds, from 0 to 30',
    )
      .argParser(wholeNumber(0, 30))
      .default(drainSeconds),
    logLevelOption(),
    ...inGroup(
      'Own certificate:',
      new Option(
        '--own-certificate <secret>',
        'issue and rotate the certificate, and keep it in this Secret',
      ).conflicts(['tlsCert', 'tlsKey']),
      namespaceOption('namespace of the Secret, and of the list for `conflicts: leave`').default(
        undefined,
        "the context's or the pod's namespace",
      ),
      new Option('--webhook <name>', 'webhook configuration whose caBundle is updated').default(
        'berth',
      ),
      new Option('--service <name>', 'Service of the webhook').default('berth-webhook'),
      new Option('--names <names>', 'more DNS names for the certificate, separated by commas')
        .argParser(commaSeparated)
        .default([]),
      new Option('--settle-seconds <n>', 'seconds between trusting a new CA and signing with it')
        .argParser(wholeNumber(0, 9_999))
        .default(settleSeconds),
    ),
  )
  command.action((options: ServeOptions) =>
    run(async (io) => {
      const { serve } = await import('../actions/serve.ts')
      return serve(options, io)
    }),
  )
}
