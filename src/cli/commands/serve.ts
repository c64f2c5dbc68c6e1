/** `berth serve`: the webhook in a cluster. Only wires things together. */
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import {
  noNamespaceLookup,
  type NamespaceLookup,
} from '../../webhook/admission/namespace-lookup.ts'
import { aborted } from '../../async/abort.ts'
import { loadConfig } from '../../config/load.ts'
import { watchConfig } from '../../config/watch.ts'
import { formatProblem } from '../../config/problem.ts'
import { BerthError } from '../../errors.ts'
import type { ClientAuthentication } from '../../webhook/server/client-auth.ts'
import { defaultDrainMs } from '../../webhook/server/drain.ts'
import { createLogs, type Logger } from '../../telemetry/log.ts'
import { configFile, oneOf, type Parsed, port, readOptions, text } from '../options.ts'
import { defaultSecretsDirectory } from '../../engine/decision-engine.ts'
import type { Cluster } from '../../kube/connect.ts'
import type { Command, Io } from '../io.ts'
import {
  certificateFromFiles,
  mountedCertificate,
  type ServingCertificate,
  startOwnCertificate,
} from '../../webhook/certificate/serving-certificate.ts'
import { defaultSettleMs } from '../../webhook/certificate/rotation.ts'
import { startWebhook, type WebhookOptions } from '../../webhook/start-webhook.ts'

export const usage =
  'berth serve [--config FILE] [--tls-cert FILE --tls-key FILE | --own-certificate SECRET [--webhook NAME] [--service NAME] [--names NAME,…] [--settle-seconds N]] [-n NAMESPACE] [--host ADDRESS] [--port N] [--metrics-port N] [--client-ca FILE [--client-names NAME,…]] [--secrets-dir DIR] [--kubeconfig FILE] [--drain-seconds N] [--log-level LEVEL]'

/** Serves until it is asked to stop; exits with 0. */
export const serve: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      config: { type: 'string' },
      'tls-cert': { type: 'string' },
      'tls-key': { type: 'string' },
      'own-certificate': { type: 'string' },
      webhook: { type: 'string' },
      service: { type: 'string' },
      names: { type: 'string' },
      'settle-seconds': { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      host: { type: 'string' },
      port: { type: 'string' },
      'metrics-port': { type: 'string' },
      'client-ca': { type: 'string' },
      'client-names': { type: 'string' },
      'drain-seconds': { type: 'string' },
      'secrets-dir': { type: 'string' },
      kubeconfig: { type: 'string' },
      'log-level': { type: 'string' },
    },
    usage,
  )
  const logs = createLogs(oneOf(values, 'log-level', ['info', 'debug', 'warn', 'error']), io.stderr)
  const { log } = logs
  const file = configFile(values)
  const config = loadConfig(file)
  for (const warning of config.warnings) log.warn(formatProblem(file, warning))
  const leaveAfterMs = drainMs(values)
  const cluster = await findCluster(text(values, 'kubeconfig'), io)
  const certificate = await findCertificate(values, cluster, { log, signal: io.signal })
  if (certificate === null) return 0
  const webhook = await startWebhook({
    config,
    tls: certificate.pair,
    expires: certificate.expires,
    notReady: () => certificate.notReady(),
    clients: readClients(values),
    host: text(values, 'host') ?? '0.0.0.0',
    port: port(values, 'port', 8443),
    metricsPort: port(values, 'metrics-port', 8080),
    secretsDirectory: text(values, 'secrets-dir') ?? defaultSecretsDirectory,
    env: io.env,
    namespaceLookup: await findNamespaceLookup(cluster, log),
    ...(await findSecretProvisioner(cluster, log)),
    logs,
  })
  const configWatch = watchConfig(file, {
    current: config,
    onConfig: (changed) => {
      webhook.useConfig(changed)
      log.info({ rows: changed.table.rows.length }, 'config reloaded')
    },
    onError: (error) => {
      webhook.configRejected()
      const problem = error instanceof Error ? error.message : String(error)
      log.error({ problem }, 'config rejected')
    },
  })
  certificate.sendRenewals(webhook)
  log.info({ port: webhook.port, metricsPort: webhook.metricsPort }, 'listening')
  await aborted(io.signal)
  if (io.signal.reason === 'SIGTERM' || io.signal.reason === 'SIGHUP') {
    log.info({ atLeastSeconds: leaveAfterMs / 1000 }, 'draining')
    await webhook.drain(leaveAfterMs, io.forceStop)
  }
  configWatch.stop()
  certificate.stop()
  await webhook.close()
  await cluster?.close()
  log.info('stopped')
  return 0
}

/** The cluster that the process runs in, or that it was given a kubeconfig for; null when there is none to ask. */
async function findCluster(kubeconfig: string | undefined, { env }: Io): Promise<Cluster | null> {
  // The kubelet sets this variable in every pod.
  if (kubeconfig === undefined && env['KUBERNETES_SERVICE_HOST'] === undefined) return null
  const { connect } = await import('../../kube/connect.ts')
  return connect({ kubeconfig, env })
}

async function findNamespaceLookup(cluster: Cluster | null, log: Logger): Promise<NamespaceLookup> {
  if (cluster === null) return noNamespaceLookup
  const { createNamespaceLookup } = await import('../../webhook/admission/kube-namespace-lookup.ts')
  return createNamespaceLookup(cluster.api, log)
}

async function findSecretProvisioner(
  cluster: Cluster | null,
  log: Logger,
): Promise<Pick<WebhookOptions, 'createSecretProvisioner'>> {
  if (cluster === null) return {}
  const { createCopyProvisioner } = await import('../../webhook/admission/copy-provisioner.ts')
  const dependencies = { api: cluster.api, log, now: () => new Date() }
  return { createSecretProvisioner: (copies) => createCopyProvisioner(dependencies, copies) }
}

/** Null if the process was asked to stop before there was one. */
async function findCertificate(
  values: Parsed['values'],
  cluster: Cluster | null,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<ServingCertificate | null> {
  const [cert, key] = [text(values, 'tls-cert'), text(values, 'tls-key')]
  const secret = text(values, 'own-certificate')
  if (secret === undefined) {
    const { cert: mountedCert, key: mountedKey } = mountedCertificate
    return certificateFromFiles({ cert: cert ?? mountedCert, key: key ?? mountedKey }, log)
  }
  if (cert !== undefined || key !== undefined)
    throw new BerthError(
      'usage',
      '--own-certificate keeps the certificate in a Secret, and --tls-cert and --tls-key read it from files; give one of the two',
    )
  if (cluster === null)
    throw new BerthError(
      'usage',
      '--own-certificate keeps a Secret in a cluster, and this is no pod; give one with --kubeconfig FILE',
    )
  return startOwnCertificate({
    secret,
    webhook: text(values, 'webhook') ?? 'berth',
    service: text(values, 'service') ?? 'berth-webhook',
    names: text(values, 'names')?.split(',') ?? [],
    settleMs: settleMs(values),
    api: cluster.api,
    namespace: text(values, 'namespace') ?? cluster.namespace,
    log,
    signal,
  })
}

/** Seconds from an option, in milliseconds; throws `usage`. */
function settleMs(values: Parsed['values']): number {
  const value = text(values, 'settle-seconds')
  if (value === undefined) return defaultSettleMs
  if (/^[0-9]{1,4}$/.test(value)) return Number(value) * 1000
  throw new BerthError('usage', `--settle-seconds ${value} is not a number from 0 to 9999`)
}

function readClients(values: Parsed['values']): ClientAuthentication | null {
  const file = text(values, 'client-ca')
  const names = text(values, 'client-names')?.split(',') ?? []
  if (file === undefined) {
    if (names.length === 0) return null
    throw new BerthError(
      'usage',
      '--client-names says who may call, and --client-ca is missing, which proves it',
    )
  }
  try {
    const ca = readFileSync(file, 'utf8')
    createSecureContext({ ca })
    return { ca, names }
  } catch (cause) {
    throw new BerthError(
      'certificate-invalid',
      `${file} cannot be read as a PEM certificate; --client-ca takes the CA of callers' certificates`,
      { cause },
    )
  }
}

/** Seconds from an option, in milliseconds; throws `usage`. */
function drainMs(values: Parsed['values']): number {
  const value = text(values, 'drain-seconds')
  if (value === undefined) return defaultDrainMs
  if (/^[0-9]{1,2}$/.test(value) && Number(value) <= 30) return Number(value) * 1000
  throw new BerthError('usage', `--drain-seconds ${value} is not a number from 0 to 30`)
}
