/** Runs the webhook process of a cluster: its certificate, reloads of the config, and draining. */
import type { Config } from '../config/config.ts'
import { loadFirstConfig } from '../config/load-first.ts'
import { formatProblem } from '../config/problem.ts'
import { watchConfig } from '../config/watch.ts'
import { aborted } from '../async/abort.ts'
import type { Cluster } from '../kube/connect.ts'
import type { Logger, Logs } from '../telemetry/log.ts'
import { noNamespaceLookup, type NamespaceLookup } from './admission/namespace-lookup.ts'
import type { CertificateFiles } from './certificate/certificate-files.ts'
import {
  certificateFromFiles,
  type OwnCertificateOptions,
  type ServingCertificate,
  startOwnCertificate,
} from './certificate/serving-certificate.ts'
import type { ClientAuthentication } from './server/client-auth.ts'
import { startWebhook, type Webhook, type WebhookOptions } from './start-webhook.ts'

/** A certificate from files, or one that Berth manages in a Secret. */
export type CertificateSource =
  | { readonly kind: 'files'; readonly files: CertificateFiles }
  | { readonly kind: 'own'; readonly options: Omit<OwnCertificateOptions, 'log' | 'signal'> }

export interface RunWebhookOptions {
  readonly certificate: CertificateSource
  /** The cluster whose namespaces and pull secrets are looked up; null to look up nothing. */
  readonly cluster: Cluster | null
  /** Berth's own namespace; null to use that of the cluster's credentials. */
  readonly namespace: string | null
  /** Reloaded when it changes. */
  readonly configFile: string
  /** Null if callers need no client certificate. */
  readonly clients: ClientAuthentication | null
  readonly host: string
  readonly port: number
  readonly metricsPort: number
  readonly secretsDirectory: string
  /** Milliseconds to go on answering after SIGTERM, at least. */
  readonly drainMs: number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logs: Logs
  /** Its reason is the name of the process signal. */
  readonly signal: AbortSignal
  /** Ends draining at once. */
  readonly forceStop: AbortSignal | undefined
}

/**
 * Serves until the signal aborts, then drains. Throws `config-unreadable`, `config-invalid`, `certificate-invalid` and
 * `listen-failed`.
 */
export async function runWebhook(options: RunWebhookOptions): Promise<void> {
  const {
    cluster,
    logs: { log },
    signal,
  } = options
  const start = await prepareStart(options)
  const certificate = await openCertificate(options.certificate, log, signal)
  if (certificate === null) return
  const { webhook, configWatch } = await start(certificate)
  certificate.sendRenewals(webhook)
  log.info({ port: webhook.port, metricsPort: webhook.metricsPort }, 'listening')
  await aborted(signal)
  if (signal.reason === 'SIGTERM' || signal.reason === 'SIGHUP') {
    log.info({ atLeastSeconds: options.drainMs / 1000 }, 'draining')
    await webhook.drain(options.drainMs, options.forceStop)
  }
  configWatch.stop()
  certificate.stop()
  await webhook.close()
  await cluster?.close()
  log.info('stopped')
}

interface Running {
  readonly webhook: Webhook
  readonly configWatch: ReturnType<typeof watchConfig>
}

/**
 * Loads the config and returns the function that starts the webhook, once. No function that runs until the process ends
 * may have a variable with the config: it would stay in memory after a reload.
 */
async function prepareStart(
  options: RunWebhookOptions,
): Promise<(certificate: ServingCertificate) => Promise<Running>> {
  let loaded: Config | null = await loadFirstConfig(options.configFile)
  for (const warning of loaded.warnings)
    options.logs.log.warn(formatProblem(options.configFile, warning))
  return (certificate) => {
    if (loaded === null) throw new Error('the webhook can be started only once')
    const config = loaded
    loaded = null
    return startWith(config, certificate, options)
  }
}

async function startWith(
  config: Config,
  certificate: ServingCertificate,
  options: RunWebhookOptions,
): Promise<Running> {
  const { cluster, namespace, logs } = options
  const webhook = await startWebhook({
    config,
    tls: certificate.pair,
    expires: certificate.expires,
    notReady: () => certificate.notReady(),
    clients: options.clients,
    host: options.host,
    port: options.port,
    metricsPort: options.metricsPort,
    secretsDirectory: options.secretsDirectory,
    env: options.env,
    namespaceLookup: await openNamespaceLookup(cluster, logs.log),
    ...(await openSiblingDigests(cluster, logs.log)),
    ...(await openSecretProvisioner(cluster, logs.log)),
    ...(await openConflictOwners(cluster, namespace, logs.log)),
    logs,
  })
  return { webhook, configWatch: watchConfigOf(webhook, config, options) }
}

function watchConfigOf(
  webhook: Webhook,
  config: Config,
  { configFile, logs: { log } }: RunWebhookOptions,
): ReturnType<typeof watchConfig> {
  return watchConfig(configFile, {
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
}

/** Null if the signal aborts before Berth has issued a certificate. */
async function openCertificate(
  source: CertificateSource,
  log: Logger,
  signal: AbortSignal,
): Promise<ServingCertificate | null> {
  return source.kind === 'files'
    ? certificateFromFiles(source.files, log)
    : startOwnCertificate({ ...source.options, log, signal })
}

async function openNamespaceLookup(cluster: Cluster | null, log: Logger): Promise<NamespaceLookup> {
  if (cluster === null) return noNamespaceLookup
  const { createNamespaceLookup } = await import('./admission/kube-namespace-lookup.ts')
  return createNamespaceLookup(cluster.api, log)
}

async function openSiblingDigests(
  cluster: Cluster | null,
  log: Logger,
): Promise<Pick<WebhookOptions, 'siblings'>> {
  if (cluster === null) return {}
  const { createSiblingDigests } = await import('./admission/kube-sibling-digests.ts')
  return {
    siblings: createSiblingDigests({ api: cluster.api, log, now: () => performance.now() }),
  }
}

async function openConflictOwners(
  cluster: Cluster | null,
  namespace: string | null,
  log: Logger,
): Promise<Pick<WebhookOptions, 'conflictOwners'>> {
  if (cluster === null) return {}
  const { createConflictOwners } = await import('./admission/kube-conflict-owners.ts')
  const own = namespace ?? cluster.namespace
  const now = () => Date.now()
  return {
    conflictOwners: createConflictOwners({ api: cluster.api, namespace: own, log, now }),
  }
}

async function openSecretProvisioner(
  cluster: Cluster | null,
  log: Logger,
): Promise<Pick<WebhookOptions, 'createSecretProvisioner'>> {
  if (cluster === null) return {}
  const { createCopyProvisioner } = await import('./admission/copy-provisioner.ts')
  const dependencies = { api: cluster.api, log, now: () => new Date() }
  return { createSecretProvisioner: (copies) => createCopyProvisioner(dependencies, copies) }
}
