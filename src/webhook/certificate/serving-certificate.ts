/** Where the webhook's certificate comes from: files that somebody renews, or a Secret that Berth keeps itself. */
import { X509Certificate } from 'node:crypto'
import { keepOwnCertificate } from './own-certificate.ts'
import { BerthError } from '../../errors.ts'
import type { Cluster } from '../../kube/connect.ts'
import {
  type CertificateFiles,
  type KeyPair,
  readCertificate,
  watchCertificate,
} from './certificate-files.ts'
import type { Logger } from '../../telemetry/log.ts'

export interface ServingCertificate {
  readonly pair: KeyPair
  readonly expires: Date
  /** Null when callers accept the certificate, else why they would not. */
  notReady(): string | null
  /** Hands every later pair to the webhook. */
  follow(webhook: CertificateUser): void
  stop(): void
}

/** The part of the webhook that serves with the certificate. */
export interface CertificateUser {
  useCertificate(pair: KeyPair, expires: Date): void
  certificateFailed(): void
}

/** Where a Deployment mounts the Secret that `berth certs` makes. */
export const mountedCertificate: CertificateFiles = {
  cert: '/etc/berth/tls/tls.crt',
  key: '/etc/berth/tls/tls.key',
}

/** A pair of files. Throws `certificate-invalid`. */
export function certificateFromFiles(files: CertificateFiles, log: Logger): ServingCertificate {
  const result = readCertificate(files, new Date())
  if (!result.ok)
    throw new BerthError(
      'certificate-invalid',
      `${files.cert}, with ${files.key}, ${result.fault}; \`berth certs\` makes a pair, and --own-certificate keeps one`,
    )
  const { pair, expires } = result
  let stop = () => {}
  return {
    pair,
    expires,
    notReady: () => null,
    follow: (webhook) => {
      const watched = watchCertificate({
        files,
        inUse: pair,
        onPair: (renewed, until) => {
          webhook.useCertificate(renewed, until)
          log.info({ expires: until.toISOString() }, 'certificate reloaded')
        },
        onFault: (fault) => {
          webhook.certificateFailed()
          log.error(
            { file: files.cert, fault },
            'certificate not reloaded; the one before it stays in use',
          )
        },
      })
      stop = () => watched.stop()
    },
    stop: () => stop(),
  }
}

export interface OwnCertificateOptions {
  /** The Secret that keeps the certificate. */
  readonly secret: string
  /** The webhook configuration whose caBundles are updated. */
  readonly webhook: string
  /** The Service in front of the webhook. */
  readonly service: string
  /** More DNS names and addresses for the certificate. */
  readonly names: readonly string[]
  /** Milliseconds that callers get to trust a new CA before it signs. */
  readonly settleMs: number
  readonly cluster: Cluster
  readonly namespace: string
  readonly log: Logger
  readonly signal: AbortSignal
}

/** A Secret of Berth's own; waits until there is a first pair. Null if the process is asked to stop before. */
export async function ownCertificate({
  secret,
  webhook: configuration,
  service,
  names,
  settleMs,
  cluster,
  namespace,
  log,
  signal,
}: OwnCertificateOptions): Promise<ServingCertificate | null> {
  const first = Promise.withResolvers<KeyPair | null>()
  signal.addEventListener('abort', () => first.resolve(null), { once: true })
  let take = (pair: KeyPair) => first.resolve(pair)
  const keeper = keepOwnCertificate(cluster.api, {
    namespace,
    secret,
    webhook: configuration,
    names: [`${service}.${namespace}.svc`, `${service}.${namespace}.svc.cluster.local`, ...names],
    settleMs,
    onPair: (pair) => take(pair),
    log,
    signal,
  })
  const pair = await first.promise
  if (pair === null) return null
  // A pair that came while the port was being opened is served from the start.
  let latest = pair
  take = (renewed) => (latest = renewed)
  return {
    pair,
    expires: expiryOf(pair),
    notReady: () => keeper.notReady(),
    follow: (webhook) => {
      take = (renewed) => {
        webhook.useCertificate(renewed, expiryOf(renewed))
        log.info({ expires: expiryOf(renewed).toISOString() }, 'certificate reloaded')
      }
      if (latest !== pair) take(latest)
    },
    stop: () => {},
  }
}

function expiryOf({ cert }: KeyPair): Date {
  return new Date(new X509Certificate(cert).validTo)
}
