/** Reads the serving certificate from files, and watches the files for a renewed one. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describeFileError } from '../../files/describe-file-error.ts'

export interface KeyPair {
  readonly key: string
  readonly cert: string
}

export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

export type CertificateResult =
  | { readonly ok: true; readonly pair: KeyPair; readonly expires: Date }
  | { readonly ok: false; readonly reason: string }

/**
 * Reads the pair, and checks that a server can use it now. With `inUse`, it must also share a name with the pair in use: a
 * certificate for another service, put there by mistake, would fail every call.
 */
export function readCertificate(
  files: CertificateFiles,
  now: Date,
  inUse?: KeyPair,
): CertificateResult {
  let pair: KeyPair
  try {
    pair = { cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') }
  } catch (error) {
    return { ok: false, reason: `cannot be read: ${describeFileError(error)}` }
  }
  try {
    const certificate = new X509Certificate(pair.cert)
    const reason = reasonAgainst(certificate, pair, now, inUse)
    return reason === null
      ? { ok: true, pair, expires: new Date(certificate.validTo) }
      : { ok: false, reason }
  } catch {
    // OpenSSL's own messages about a broken PEM do not help.
    return { ok: false, reason: 'is not a PEM certificate with its key' }
  }
}

function reasonAgainst(
  certificate: X509Certificate,
  pair: KeyPair,
  now: Date,
  inUse: KeyPair | undefined,
): string | null {
  if (!certificate.checkPrivateKey(createPrivateKey(pair.key))) return 'does not match the key'
  if (now < new Date(certificate.validFrom)) return `is not valid before ${certificate.validFrom}`
  if (now >= new Date(certificate.validTo)) return `expired at ${certificate.validTo}`
  if (inUse === undefined) return null
  const names = new Set(namesOf(new X509Certificate(inUse.cert)))
  return namesOf(certificate).some((name) => names.has(name))
    ? null
    : 'has none of the names of the certificate in use'
}

function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName.split(', ')
}

export interface CertificateWatchOptions {
  readonly files: CertificateFiles
  readonly inUse: KeyPair
  readonly onRenewed: (pair: KeyPair, expires: Date) => void
  /** Called once for each reason, not with every check. */
  readonly onInvalid: (reason: string) => void
}

export interface CertificateWatch {
  /** Checks the files now. */
  check(): void
  stop(): void
}

/** New connections get a renewed pair within about a second, and reading two files a second costs nothing. */
const checkEveryMs = 1_000

/**
 * Checks the files every second. It compares their content: the kubelet swaps symbolic links, which file system events do not
 * report. A pair that is not valid leaves the one in use.
 */
export function watchCertificate({
  files,
  inUse,
  onRenewed,
  onInvalid,
}: CertificateWatchOptions): CertificateWatch {
  let current = inUse
  let lastReason: string | null = null
  const check = () => {
    const result = readCertificate(files, new Date(), current)
    if (!result.ok) {
      if (result.reason !== lastReason) onInvalid(result.reason)
      lastReason = result.reason
      return
    }
    lastReason = null
    if (result.pair.cert === current.cert && result.pair.key === current.key) return
    current = result.pair
    onRenewed(result.pair, result.expires)
  }
  const timer = setInterval(check, checkEveryMs).unref()
  return { check, stop: () => clearInterval(timer) }
}
