/** `berth serve`: the webhook in a cluster. Only wires things together. */
import { readFileSync } from 'node:fs'
import { noFacts, type NamespaceFacts } from '../admission/facts.ts'
import { loadConfig } from '../config/load.ts'
import { watchConfig } from '../config/watch.ts'
import { formatProblem } from '../config/problem.ts'
import { BerthError } from '../errors.ts'
import { isUsable, type KeyPair } from '../server/tls.ts'
import { createLogger, type Logger } from '../telemetry/log.ts'
import { configFile, oneOf, port, readArguments, text } from './arguments.ts'
import { defaultSecretsDirectory } from './engine.ts'
import type { Command, Io } from './io.ts'
import { startWebhook } from './webhook.ts'

const usage =
  'berth serve [--config FILE] [--tls-cert FILE --tls-key FILE] [--host ADDRESS] [--port N] [--metrics-port N] [--secrets-dir DIR] [--kubeconfig FILE] [--log-level LEVEL]'

/** Where a Deployment mounts the Secret that `berth certs` makes. */
const defaultCertificate = { cert: '/etc/berth/tls/tls.crt', key: '/etc/berth/tls/tls.key' }

/** Serves until it is asked to stop; exits with 0. */
export const serve: Command = async (args, io) => {
  const { values } = readArguments(
    args,
    {
      config: { type: 'string' },
      'tls-cert': { type: 'string' },
      'tls-key': { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
      'metrics-port': { type: 'string' },
      'secrets-dir': { type: 'string' },
      kubeconfig: { type: 'string' },
      'log-level': { type: 'string' },
    },
    usage,
  )
  const log = createLogger(
    oneOf(values, 'log-level', ['info', 'debug', 'warn', 'error']),
    io.stderr,
  )
  const file = configFile(values)
  const config = loadConfig(file)
  for (const warning of config.warnings) log.warn(formatProblem(file, warning))
  const webhook = await startWebhook({
    config,
    tls: readKeyPair(
      text(values, 'tls-cert') ?? defaultCertificate.cert,
      text(values, 'tls-key') ?? defaultCertificate.key,
    ),
    host: text(values, 'host') ?? '0.0.0.0',
    port: port(values, 'port', 8443),
    metricsPort: port(values, 'metrics-port', 8080),
    secretsDirectory: text(values, 'secrets-dir') ?? defaultSecretsDirectory,
    facts: await findFacts(text(values, 'kubeconfig'), io, log),
    log,
  })
  const watch = watchConfig(file, {
    onConfig: (changed) => {
      webhook.use(changed)
      log.info({ rows: changed.table.rows.length }, 'config reloaded')
    },
    onError: (error) => {
      webhook.configFailed()
      log.error(
        { problem: error instanceof Error ? error.message : String(error) },
        'config not reloaded; the one before it stays in force',
      )
    },
  })
  log.info({ port: webhook.port, metricsPort: webhook.metricsPort }, 'listening')
  await stopped(io.signal)
  watch.stop()
  await webhook.close()
  log.info('stopped')
  return 0
}

export function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

async function findFacts(
  kubeconfig: string | undefined,
  { env }: Io,
  log: Logger,
): Promise<NamespaceFacts> {
  // The kubelet sets this variable in every pod; outside of one there is no cluster to ask unless it is named.
  if (kubeconfig === undefined && env['KUBERNETES_SERVICE_HOST'] === undefined) return noFacts
  const { createFacts } = await import('../kube/facts.ts')
  return createFacts({ kubeconfig: kubeconfig ?? null, log })
}

function readKeyPair(certFile: string, keyFile: string): KeyPair {
  try {
    const pair = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
    if (isUsable(pair, new Date())) return pair
  } catch (cause) {
    throw new BerthError(
      'certificate-invalid',
      `${certFile} or ${keyFile} cannot be read: ${(cause as NodeJS.ErrnoException).code}; \`berth certs\` makes a pair`,
      { cause },
    )
  }
  throw new BerthError(
    'certificate-invalid',
    `${certFile} is out of date or does not belong to ${keyFile}; \`berth certs\` makes a new pair`,
  )
}
