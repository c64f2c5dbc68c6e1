/** Runs `berth serve`. */
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { BerthError } from '../../errors.ts'
import type { Cluster } from '../../kube/connect.ts'
import { createLogs, type LogLevel } from '../../telemetry/log.ts'
import { type CertificateSource, runWebhook } from '../../webhook/run-webhook.ts'
import type { ClientAuthentication } from '../../webhook/server/client-auth.ts'
import { findConfigFile } from '../config-file.ts'
import type { Io } from '../io.ts'

export interface ServeOptions {
  readonly config?: string
  readonly tlsCert: string
  readonly tlsKey: string
  readonly ownCertificate?: string
  readonly webhook: string
  readonly service: string
  readonly names: readonly string[]
  readonly settleSeconds: number
  readonly namespace?: string
  readonly host: string
  readonly port: number
  readonly metricsPort: number
  readonly clientCa?: string
  readonly clientNames: readonly string[]
  readonly secretsDir: string
  readonly kubeconfig?: string
  readonly drainSeconds: number
  readonly logLevel: LogLevel
}

/** Serves until the process is asked to stop; returns 0. */
export async function serve(options: ServeOptions, io: Io): Promise<number> {
  const logs = createLogs(options.logLevel, io.stderr)
  const configFile = findConfigFile(options.config)
  const clients = readClientCa(options)
  const cluster = await findCluster(options, io)
  await runWebhook({
    certificate: certificateSource(options, cluster),
    cluster,
    namespace: options.namespace ?? null,
    configFile,
    clients,
    host: options.host,
    port: options.port,
    metricsPort: options.metricsPort,
    secretsDirectory: options.secretsDir,
    drainMs: options.drainSeconds * 1000,
    env: io.env,
    logs,
    signal: io.signal,
    forceStop: io.forceStop,
  })
  return 0
}

/** Returns the cluster of the kubeconfig or of the pod; null outside of clusters. */
async function findCluster({ kubeconfig }: ServeOptions, { env }: Io): Promise<Cluster | null> {
  // The kubelet sets this variable in every pod.
  if (kubeconfig === undefined && env['KUBERNETES_SERVICE_HOST'] === undefined) return null
  const { connect } = await import('../../kube/connect.ts')
  return connect({ kubeconfig, env })
}

function certificateSource(options: ServeOptions, cluster: Cluster | null): CertificateSource {
  const { ownCertificate: secret, webhook, service, names } = options
  if (secret === undefined)
    return { kind: 'files', files: { cert: options.tlsCert, key: options.tlsKey } }
  if (cluster === null)
    throw new BerthError(
      'usage',
      '--own-certificate stores the certificate in a cluster, and this process is not in a pod; add --kubeconfig FILE',
    )
  return {
    kind: 'own',
    options: {
      api: cluster.api,
      namespace: options.namespace ?? cluster.namespace,
      secret,
      webhook,
      service,
      names,
      settleMs: options.settleSeconds * 1000,
    },
  }
}

function readClientCa({
  clientCa: file,
  clientNames: names,
}: ServeOptions): ClientAuthentication | null {
  if (file === undefined) {
    if (names.length === 0) return null
    throw new BerthError('usage', '--client-names needs --client-ca, which proves the names')
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
