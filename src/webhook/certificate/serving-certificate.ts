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
import { defaultSettleMs } from './rotation.ts'
import type { Logger } from '../../telemetry/log.ts'
import { type Parsed, text } from '../../cli/options.ts'
import type { Webhook } from '../start-webhook.ts'

export interface ServingCertificate {
  readonly pair: KeyPair
  readonly expires: Date
  /** Null when callers accept the certificate, else why they would not. */
  notReady(): string | null
  /** Hands every later pair to the webhook. */
  follow(webhook: Pick<Webhook, 'useCertificate' | 'certificateFailed'>): void
  stop(): void
}

/** Where a Deployment mounts the Secret that `berth certs` makes. */
const mounted = { cert: '/etc/berth/tls/tls.crt', key: '/etc/berth/tls/tls.key' }

/** The options of both ways. */
export const certificateOptions = {
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'own-certificate': { type: 'string' },
  webhook: { type: 'string' },
  service: { type: 'string' },
  names: { type: 'string' },
  'settle-seconds': { type: 'string' },
} as const

/** A pair of files. Throws `certificate-invalid`. */
export function certificateFromFiles(values: Parsed['values'], log: Logger): ServingCertificate {
  const files: CertificateFiles = {
    cert: text(values, 'tls-cert') ?? mounted.cert,
    key: text(values, 'tls-key') ?? mounted.key,
  }
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

export interface OwnCertificateParts {
  readonly cluster: Cluster
  readonly namespace: string
  readonly log: Logger
  readonly signal: AbortSignal
}

/** A Secret of Berth's own; waits until there is a first pair. Null if the process is asked to stop before. Throws `usage`. */
export async function ownCertificate(
  values: Parsed['values'],
  { cluster, namespace, log, signal }: OwnCertificateParts,
): Promise<ServingCertificate | null> {
  if (text(values, 'tls-cert') !== undefined || text(values, 'tls-key') !== undefined)
    throw new BerthError(
      'usage',
      '--own-certificate keeps the certificate in a Secret, and --tls-cert and --tls-key read it from files; give one of the two',
    )
  const service = text(values, 'service') ?? 'berth-webhook'
  const first = Promise.withResolvers<KeyPair | null>()
  signal.addEventListener('abort', () => first.resolve(null), { once: true })
  let take = (pair: KeyPair) => first.resolve(pair)
  const keeper = keepOwnCertificate(cluster.api, {
    namespace,
    secret: text(values, 'own-certificate') ?? '',
    webhook: text(values, 'webhook') ?? 'berth',
    names: [
      `${service}.${namespace}.svc`,
      `${service}.${namespace}.svc.cluster.local`,
      ...(text(values, 'names')?.split(',') ?? []),
    ],
    settleMs: settleMs(values),
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

/** Seconds from an option, in milliseconds; throws `usage`. */
function settleMs(values: Parsed['values']): number {
  const value = text(values, 'settle-seconds')
  if (value === undefined) return defaultSettleMs
  if (/^[0-9]{1,4}$/.test(value)) return Number(value) * 1000
  throw new BerthError('usage', `--settle-seconds ${value} is not a number from 0 to 9999`)
}
