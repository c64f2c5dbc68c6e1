/** The webhook's serving certificate: from files that someone else renews, or from a Secret that Berth manages itself. */
import { X509Certificate } from 'node:crypto'
import { untilAborted } from '../../async/abort.ts'
import { BerthError } from '../../errors.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import type { Logger } from '../../telemetry/log.ts'
import {
  type CertificateFiles,
  type KeyPair,
  readCertificate,
  watchCertificate,
} from './certificate-files.ts'
import { keepOwnCertificate } from './own-certificate.ts'

export interface ServingCertificate {
  readonly pair: KeyPair
  readonly expires: Date
  /** Null when the API server accepts the certificate, else why it would not. */
  notReady(): string | null
  /** Gives every renewed pair to the webhook from now on, also one that was renewed before this call. */
  sendRenewals(to: CertificateUser): void
  stop(): void
}

/** The part of the webhook that serves with the certificate. */
export interface CertificateUser {
  useCertificate(pair: KeyPair, expires: Date): void
  /** The files have an invalid pair; the one in use stays. */
  certificateRejected(): void
}

/** Reads the certificate from files. Throws `certificate-invalid`. */
export function certificateFromFiles(files: CertificateFiles, log: Logger): ServingCertificate {
  const result = readCertificate(files, new Date())
  if (!result.ok)
    throw new BerthError(
      'certificate-invalid',
      `${files.cert} (with key ${files.key}) ${result.reason}; create a pair with \`berth certs\`, or let Berth manage one with --own-certificate`,
    )
  const { pair, expires } = result
  let stop = () => {}
  return {
    pair,
    expires,
    notReady: () => null,
    sendRenewals: (to) => {
      const watch = watchCertificate({
        files,
        inUse: pair,
        onRenewed: (renewed, until) => {
          to.useCertificate(renewed, until)
          log.info({ expires: until.toISOString() }, 'certificate reloaded')
        },
        onInvalid: (reason) => {
          to.certificateRejected()
          log.error({ file: files.cert, problem: reason }, 'certificate rejected')
        },
      })
      stop = () => watch.stop()
    },
    stop: () => stop(),
  }
}

export interface OwnCertificateOptions {
  readonly api: KubeApi
  readonly namespace: string
  /** The Secret that stores the certificate. */
  readonly secret: string
  /** The MutatingWebhookConfiguration whose caBundles are updated. */
  readonly webhook: string
  /** The Service in front of the webhook. */
  readonly service: string
  /** More DNS names and addresses for the certificate. */
  readonly names: readonly string[]
  /** Milliseconds that API servers get to trust a new CA before it signs. */
  readonly settleMs: number
  readonly log: Logger
  readonly signal: AbortSignal
}

/** Starts managing the certificate in a Secret, and resolves when there is a first pair; null if the signal aborts before. */
export async function startOwnCertificate(
  options: OwnCertificateOptions,
): Promise<ServingCertificate | null> {
  const { api, service, namespace, names, log, signal } = options
  const first = Promise.withResolvers<KeyPair>()
  let latest: KeyPair | null = null
  let user: CertificateUser | null = null
  const keeper = keepOwnCertificate(api, {
    ...options,
    names: [`${service}.${namespace}.svc`, `${service}.${namespace}.svc.cluster.local`, ...names],
    onPair: (pair) => {
      latest = pair
      first.resolve(pair)
      if (user !== null) send(pair, user, log)
    },
  })
  const pair = await untilAborted(first.promise, signal, null)
  if (pair === null) return null
  return {
    pair,
    expires: expiryOf(pair),
    notReady: () => keeper.notReady(),
    sendRenewals: (to) => {
      user = to
      if (latest !== null && latest !== pair) send(latest, to, log)
    },
    stop: () => {},
  }
}

function send(pair: KeyPair, user: CertificateUser, log: Logger): void {
  const expires = expiryOf(pair)
  user.useCertificate(pair, expires)
  log.info({ expires: expires.toISOString() }, 'certificate reloaded')
}

function expiryOf({ cert }: KeyPair): Date {
  return new Date(new X509Certificate(cert).validTo)
}
