/** The serving certificate, followed while it is renewed: a bad pair of files changes nothing but a metric and a log line. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

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
  | { readonly ok: false; readonly fault: string }

/**
 * Reads the pair and says whether a server can use it now. With `before`, the one in use, it must also stand for one of
 * the same names: a certificate for somebody else, put there by mistake, would end every call.
 */
export function readCertificate(
  files: CertificateFiles,
  now: Date,
  before?: KeyPair,
): CertificateResult {
  let pair: KeyPair
  try {
    pair = { cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') }
  } catch (error) {
    return { ok: false, fault: `cannot be read: ${(error as NodeJS.ErrnoException).code}` }
  }
  try {
    const certificate = new X509Certificate(pair.cert)
    const fault = faultOf(certificate, pair, now, before)
    return fault === null
      ? { ok: true, pair, expires: new Date(certificate.validTo) }
      : { ok: false, fault }
  } catch {
    // OpenSSL's words for what is wrong with a PEM help nobody.
    return { ok: false, fault: 'is not a PEM certificate and its key' }
  }
}

function faultOf(
  certificate: X509Certificate,
  pair: KeyPair,
  now: Date,
  before: KeyPair | undefined,
): string | null {
  if (!certificate.checkPrivateKey(createPrivateKey(pair.key))) return 'does not belong to the key'
  if (now < new Date(certificate.validFrom)) return `is not valid before ${certificate.validFrom}`
  if (now >= new Date(certificate.validTo)) return `was valid until ${certificate.validTo}`
  if (before === undefined) return null
  const names = new Set(namesOf(new X509Certificate(before.cert)))
  return namesOf(certificate).some((name) => names.has(name))
    ? null
    : 'is for none of the names that the one in use is for'
}

function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName.split(', ')
}

export interface CertificateWatch {
  readonly files: CertificateFiles
  readonly inUse: KeyPair
  readonly onPair: (pair: KeyPair, expires: Date) => void
  readonly onFault: (fault: string) => void
}

/** New connections get a renewed pair within about a second, and a stat a second costs nothing. */
const intervalMs = 1_000

/** Looks at the files every second, by their content: the kubelet swaps symbolic links, which change events do not show. */
export function watchCertificate({ files, inUse, onPair, onFault }: CertificateWatch): {
  look(): void
  stop(): void
} {
  let used = inUse
  let lastFault: string | null = null
  const look = () => {
    const result = readCertificate(files, new Date(), used)
    if (!result.ok) {
      if (result.fault !== lastFault) onFault(result.fault)
      lastFault = result.fault
      return
    }
    lastFault = null
    if (result.pair.cert === used.cert && result.pair.key === used.key) return
    used = result.pair
    onPair(result.pair, result.expires)
  }
  const timer = setInterval(look, intervalMs).unref()
  return { look, stop: () => clearInterval(timer) }
}
